"""The order in which a pipeline trains."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest
from tiny import command

from kd_monai.report import report
from kd_monai.training import roles, score


@pytest.mark.parametrize(
    ("line", "trained"),
    [
        (["--force", "1"], ["teacher", "student of teacher"]),
        (["--teacher", "mine"], ["student of mine"]),
        (["--method", "baseline"], ["student of None"]),
    ],
)
def test_student_trains_its_teacher_once_and_says_how_to_use_it(
    line: list[str], trained: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    order: list[str] = []

    def teacher(given: argparse.Namespace) -> argparse.Namespace:
        order.append("teacher")
        return argparse.Namespace(path=Path("teacher"))

    def student(given: argparse.Namespace) -> argparse.Namespace:
        order.append(f"student of {given.teacher}")
        return argparse.Namespace(path=Path("student"))

    for name, stub in {"train_teacher": teacher, "train_student": student}.items():
        monkeypatch.setattr(roles, name, stub)
    monkeypatch.setattr(roles, "evaluate_run", lambda run, given: None)
    monkeypatch.setattr(roles, "side_by_side", lambda runs: "")
    assert command("student", line) == 0
    assert order == trained
    assert "make predict RUN=student INPUT=t1ce.nii.gz" in capsys.readouterr().out


def test_the_demo_of_all_subjects_has_nothing_to_compare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = argparse.Namespace(path=tmp_path / "run", record={"n_test": 0})
    for name in ("train_teacher", "train_baseline", "train_student"):
        stub = lambda given: run  # noqa: E731
        stub.__name__ = name
        monkeypatch.setattr(roles, name, stub)
    monkeypatch.setattr(roles, "evaluate_run", lambda run, given: None)
    assert command("demo", ["FOLD=all"]) == 0
    said = capsys.readouterr().out
    assert "Nothing to compare" in said
    assert f"make predict RUN={tmp_path / 'run'} INPUT=t1ce.nii.gz" in said


def finished(folder: Path, n_test: int) -> Path:
    folder.mkdir()
    record = {"role": "student", "status": "FINISHED", "n_test": n_test}
    (folder / "run.json").write_text(json.dumps(record))
    (folder / "model.pt").touch()
    return folder


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Folders that were evaluated and exported."""
    folders: list[Path] = []
    monkeypatch.setattr(score, "evaluate", lambda template, folder, overrides: folders.append(folder))
    monkeypatch.setattr(score, "export_bundle", lambda folder, template, bundle: bundle)
    monkeypatch.setattr(score, "bundle_of", folders.append)
    monkeypatch.setattr(report, "short", lambda out, runs=None, modality=None: "the table")
    return folders


def test_evaluate_scores_the_finished_runs_of_a_folder(
    tmp_path: Path, scored: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done = [finished(tmp_path / name, n_test) for name, n_test in (("a", 2), ("b", 0))]
    others = {"mask": {"role": "fixed_mask"}, "late": {"role": "student", "status": "RUNNING"}}
    others["unpacked"] = {"role": "student", "status": "FINISHED"}  # it has scores and no weights
    for name, record in others.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(json.dumps(record))
    assert command("evaluate", [f"OUT={tmp_path}"]) == 0
    assert scored == done
    assert "the table" in capsys.readouterr().out


def test_evaluate_of_a_run_on_all_subjects_exports_it_and_compares_nothing(
    tmp_path: Path, scored: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = finished(tmp_path / "all", 0)
    assert command("evaluate", [f"RUN={run}"]) == 0
    assert scored == [run]
    assert "Nothing to compare" in capsys.readouterr().out


def test_evaluate_of_a_folder_without_trainings_says_to_train_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("evaluate", [f"OUT={tmp_path / 'nothing'}"]) == 2
    said = capsys.readouterr().err
    assert f"OUT must hold finished trainings; {tmp_path / 'nothing'} holds none. Train first (make student" in said
    assert "or correct OUT" in said


def test_evaluate_of_a_folder_that_is_no_run_is_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("evaluate", [f"RUN={tmp_path / 'typo'}"]) == 2
    said = capsys.readouterr().err
    assert "typo has none" in said
    assert "Traceback" not in said


def test_serving_a_server_is_one_message(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert command("mlflow", []) == 2
    assert "Open it in a browser" in capsys.readouterr().err
