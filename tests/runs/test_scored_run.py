"""A run is scored once it is finished, on the data it was split from."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
import yaml
from fake_runs import write_journal, write_run
from small_run import datalist
from tiny import metrics

from kd_monai.config.overlays import SHARED, STUDENT, TEACHER
from kd_monai.errors import UserError
from kd_monai.handlers import file_digest
from kd_monai.metrics import read_cases
from kd_monai.runs.scored_run import ScoredRun, trained_weights
from kd_monai.tracking import Tracker


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


def test_weights_that_its_training_did_not_write_are_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(3)}, tmp_path / "model.pt")
    finished(tmp_path, model_digest=file_digest(tmp_path / "model.pt"))
    assert torch.equal(trained_weights(tmp_path)["weight"], torch.ones(3))
    torch.save({"weight": torch.zeros(3)}, tmp_path / "model.pt")
    with pytest.raises(UserError, match="SHA-256"):
        trained_weights(tmp_path)


@pytest.mark.parametrize("bundle", [TEACHER, STUDENT], ids=lambda path: path.name)
def test_evaluation_looks_at_the_data_before_all_else(bundle: Path) -> None:
    evaluation = yaml.safe_load((SHARED / "evaluate.yaml").read_text())
    assert evaluation["initialize"][0] == "$@scored_run.check(@datalist)"


@pytest.mark.parametrize("cut_short", ["log_metrics", "log_table"])
def test_a_run_that_has_its_table_has_told_mlflow_its_scores_wherever_it_was_killed(
    cut_short: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever finds the table scores no more."""
    folder = write_run(tmp_path, "baseline")
    write_journal(folder, [1.0], [1.0])
    table = read_cases(folder / "cases.csv")
    (folder / "cases.csv").unlink()
    run = ScoredRun(folder)
    for row in table.to_dict("records"):
        run.add({str(name): value for name, value in row.items()})
    monkeypatch.setattr(Tracker, "_launch", lambda self: None)  # nothing is sent
    with monkeypatch.context() as patch:
        patch.setattr(Tracker, cut_short, lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run.finish()
    assert (folder / "thresholds.json").is_file()
    assert (folder / "cases.csv").is_file() == (("test/dice_WT", 0) in metrics(folder, "test/"))
    run.finish()
    assert metrics(folder, "test/")["test/dice_WT", 0] == pytest.approx(table.dice_WT.mean())
    assert read_cases(folder / "cases.csv").equals(table)
