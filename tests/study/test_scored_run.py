"""A run is scored once it is finished, on the data it was split from."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import yaml
from small_run import datalist

from kd_monai.study import ScoredRun
from kd_monai.study.launch import STUDENT, TEACHER


def finished(folder: Path, **changes: str) -> Path:
    (folder / "run.json").write_text(json.dumps({"status": "FINISHED", "data_digest": "d" * 64, **changes}))
    return folder


def test_the_data_of_the_training_are_taken(tmp_path: Path) -> None:
    ScoredRun(finished(tmp_path)).check(datalist())


def test_other_data_are_refused_with_both_digests_and_the_remedy(tmp_path: Path) -> None:
    other = dataclasses.replace(datalist(), digest="e" * 64)
    with pytest.raises(ValueError, match=rf"{'d' * 64}.*{'e' * 64}.*DATA="):
        ScoredRun(finished(tmp_path)).check(other)


def test_an_unfinished_run_and_a_folder_that_is_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no run folder"):
        ScoredRun(tmp_path)
    with pytest.raises(ValueError, match="is FAILED"):
        ScoredRun(finished(tmp_path, status="FAILED"))


@pytest.mark.parametrize("bundle", [TEACHER, STUDENT], ids=lambda path: path.name)
def test_evaluation_looks_at_the_data_before_all_else(bundle: Path) -> None:
    evaluation = yaml.safe_load((bundle / "configs" / "evaluate.yaml").read_text())
    assert evaluation["initialize"][0] == "$@scored_run.check(@datalist)"
