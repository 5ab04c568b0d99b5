"""A teacher that is trained anew makes its students anew, and leaves the old ones beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fake_runs import write_run

from kd_monai.report.report import counterparts, read_study, report, short
from kd_monai.report.selection import choose
from kd_monai.runs.read import EvaluatedRun, find_runs, without_superseded


def student(out: Path, time: float | None, lift: float = 0.0, dice: float = 0.5, **record: Any) -> Path:
    folder = write_run(out, "kdnet", lift=lift, **record)
    journal(folder, dice, **({} if time is None else {"time": time}))
    return folder


def journal(folder: Path, dice: float, **first: Any) -> None:
    told = {"op": "metrics", "step": 2, "values": {"val/dice_mean": dice}, "parent": False}
    (folder / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in ({"op": "run", **first}, told)))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """The second of two students of one teacher is the one that counts, whatever their names."""
    write_run(tmp_path, "teacher")
    journal(write_run(tmp_path, "baseline"), 0.4)
    student(tmp_path, 20, lift=0.1, dice=0.6)
    student(tmp_path, 10, lift=-0.1, dice=0.3)
    return tmp_path


def test_the_last_one_counts_and_the_other_is_named(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    last, first = sorted(out.glob("kdnet*"))
    found, (remark,) = without_superseded(find_runs(out)[0])
    assert last in [run.folder for run in found]
    assert first not in [run.folder for run in found]
    assert remark.startswith(f"{first.name} is left out: {last.name} is the same training, later, with other weights")
    monkeypatch.setattr("kd_monai.report.report.publish", lambda *_: None)  # these journals have no MLflow run
    monkeypatch.setattr("kd_monai.report.figures.draw_figures", lambda *_: [])
    rows = read_study(out).frame
    gain = rows[(rows.role == "student") & (rows.metric == "dice") & (rows.region == "WT")]
    assert (gain["diff"] > 0.05).all()
    for text in (short(out), report(out), choose(out)):
        assert f"{first.name} is left out" in " ".join(text.split())
    (baseline,) = out.glob("baseline*")
    assert last in counterparts([EvaluatedRun.read(baseline)])
    assert first not in counterparts([EvaluatedRun.read(baseline)])


def test_folders_that_are_named_are_taken_as_they_are(out: Path) -> None:
    runs = [folder for folder in sorted(out.glob("*/")) if folder.name != "report"]
    with pytest.raises(ValueError, match="one run per fold and seed"):
        short(out, runs)


@pytest.mark.parametrize(
    "other", [{"time": None}, {"teacher_key": "another"}, {"settings": {"terms": 1}}, {"data_digest": "e" * 64}]
)
def test_what_is_another_training_stays(other: dict[str, Any], tmp_path: Path) -> None:
    student(tmp_path, 10)
    student(tmp_path, **{"time": 20, **other})
    runs = find_runs(tmp_path)[0]
    assert without_superseded(runs) == (runs, [])


def test_students_of_teachers_of_two_settings_are_two_candidates(out: Path) -> None:
    write_run(out, "teacher", settings={"width": 16}, run_key="wide")
    student(out, 30, dice=0.7, teacher_key="wide")
    assert "First: kdnet (teacher=" in choose(out)
