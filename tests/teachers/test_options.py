"""`make student TEACHERS=crossfit UNLABELLED=rest INIT=teacher`, short: trained, scored, and found again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tiny import coarse, command, hashes, words

pytestmark = pytest.mark.slow


def records(out: Path) -> dict[Path, dict[str, Any]]:
    """Run folder -> what its ``run.json`` says."""
    return {file.parent: json.loads(file.read_text()) for file in sorted(out.glob("*/run.json"))}


def test_all_options_together_from_the_first_teacher_to_the_table(
    phantom: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = str(coarse(phantom, tmp_path / "data"))
    options = {"teachers": "crossfit", "unlabelled": "rest", "init": "teacher"}
    line = words(data=data, out=str(tmp_path), n_subjects="3", cache="disk")
    options_line = words(data=data, out=str(tmp_path), n_subjects="3", cache="disk", **options)
    assert command("student", options_line) == 0
    (student,) = tmp_path.glob("kdnet_t1ce-fold0-*/")
    record = records(tmp_path)[student]
    assert record["n_unlabelled"] == 1
    assert len(record["teacher_key"].split(",")) == 4
    (label,) = (student / "pseudo_labels").iterdir()
    assert label.stem in record["seen"]
    (teacher,) = tmp_path.glob("teacher-fold0-*/")
    assert label.stem not in records(tmp_path)[teacher]["seen"]
    samples = list((tmp_path / "cache").glob("*.pt"))
    assert len(samples) == 3 + 1 + 1  # trained on, unlabelled, validated with: those of the inner teachers are the same

    assert command("baseline", line) == 0
    capsys.readouterr()
    weights = hashes(student)["model.pt"]
    assert command("student", options_line) == 0  # all is there, and is not done again
    text = capsys.readouterr().out
    assert all(f"| {arm} " in text for arm in ("teacher", "baseline", "kdnet"))
    assert "Missing" not in text
    assert "without_0_of_3" not in text
    assert hashes(student)["model.pt"] == weights
    runs = records(tmp_path)
    assert len(runs) == 6  # four teachers, baseline and student
    assert {record["status"] for record in runs.values()} == {"FINISHED"}
    scored = [folder for folder in runs if (folder / "cases.csv").is_file()]
    assert len(scored) == 3
    assert all(len(pd.read_csv(folder / "cases.csv")) == runs[folder]["n_test"] for folder in scored)
    assert "teachers: crossfit" in (student / "config.yaml").read_text()
