"""What the verbs do one after another, and what they say."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from tiny import command

from kd_monai.config.plan import Plan
from kd_monai.errors import UserError
from kd_monai.report import fixed_mask, report
from kd_monai.training import preflight, score, workflow


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Instead of trainings, the role of each and the teacher that it was given; their runs are named after them."""
    order: list[str] = []

    def train(plan: Plan) -> Path:
        order.append(f"{plan.role} of {Path(plan.config['teacher']).name}" if plan.role == "student" else plan.role)
        return tmp_path / plan.role

    monkeypatch.setattr(workflow, "train", train)
    monkeypatch.setattr(preflight, "preflight", lambda plans: None)
    return order


@pytest.mark.parametrize(
    ("line", "order"),
    [
        (["FORCE=1"], ["teacher", "student of teacher"]),
        (["TEACHER=mine"], ["student of mine"]),
        (["METHOD=baseline"], ["baseline"]),
    ],
)
def test_student_trains_its_teacher_once_and_says_how_to_use_it(
    line: list[str],
    order: list[str],
    tmp_path: Path,
    trained: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    scored: list[str] = []
    forced: list[str] = []

    def score_run(run: Path, overrides: object, force: bool) -> None:
        scored.append(run.name)
        forced.extend([run.name] if force else [])

    monkeypatch.setattr(score, "score", score_run)
    monkeypatch.setattr(report, "short", lambda out, runs: f"the table of {[run.name for run in runs]}")
    assert command("student", [*line, f"DATA={tmp_path}", f"NOTE={tmp_path / 'note'}"]) == 0
    assert trained == order
    names = [words.split()[0] for words in order]
    assert scored == names
    assert forced == (names[-1:] if "FORCE=1" in line else [])  # the teacher was not named
    said = capsys.readouterr().out
    assert f"the table of {names}" in said
    assert f"make predict RUN={tmp_path / names[-1]} INPUT=t1ce.nii.gz" in said
    assert (tmp_path / "note").read_text().strip() == str(tmp_path / names[-1])


def test_the_demo_compares_with_the_best_fixed_mask(
    tmp_path: Path, trained: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(preflight, "read_datalist", lambda plan, **_: SimpleNamespace(test=["a case"]))
    monkeypatch.setattr(score, "score", lambda *_: None)
    monkeypatch.setattr(fixed_mask, "write_fixed_mask", lambda run, datalist: run.with_name("mask"))
    monkeypatch.setattr(report, "short", lambda out, runs: f"the table of {[run.name for run in runs]}")
    assert command("demo", [f"DATA={tmp_path}"]) == 0
    assert "the table of ['teacher', 'baseline', 'student', 'mask']" in capsys.readouterr().out


def test_labels_on_several_grids_have_no_fixed_mask(
    tmp_path: Path, trained: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(run: Path, datalist: object) -> Path:
        raise UserError("A fixed mask needs all labels on one grid.")

    monkeypatch.setattr(preflight, "read_datalist", lambda plan, **_: SimpleNamespace(test=["a case"]))
    monkeypatch.setattr(score, "score", lambda *_: None)
    monkeypatch.setattr(fixed_mask, "write_fixed_mask", refuse)
    monkeypatch.setattr(report, "short", lambda out, runs: f"the table of {[run.name for run in runs]}")
    assert command("demo", [f"DATA={tmp_path}"]) == 0
    output = capsys.readouterr().out
    assert "on one grid" in output
    assert "the table of ['teacher', 'baseline', 'student']" in output


@pytest.mark.parametrize("words", [["demo", "METHOD=baseline"], ["student", "DATA=.", "SUBJECTS=4"]])
def test_words_that_would_change_nothing_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command(words[0], words[1:]) == 2
    assert words[-1].partition("=")[0] in capsys.readouterr().err


def test_the_demo_of_all_subjects_has_nothing_to_compare(
    tmp_path: Path, trained: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("teacher", "baseline", "student"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(preflight, "read_datalist", lambda plan, **_: SimpleNamespace(test=[]))
    monkeypatch.setattr(score, "score", lambda *_: None)
    assert command("demo", ["FOLD=all", f"DATA={tmp_path}"]) == 0
    assert trained == ["teacher", "baseline", "student of teacher"]
    said = capsys.readouterr().out
    assert "Nothing to compare" in said
    assert f"make predict RUN={tmp_path / 'student'} INPUT=t1ce.nii.gz" in said


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
    assert f"{tmp_path / 'nothing'} holds none" in said
    assert "Train first" in said


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
