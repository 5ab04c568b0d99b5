"""A finished run is scored once, by the bundle that trained it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kd_monai.__main__ import _predict_line
from kd_monai.config.overlays import STUDENT, TEACHER
from kd_monai.config.plan import read_plans
from kd_monai.config.variables import read_command
from kd_monai.errors import UserError
from kd_monai.metrics import METRICS, case_row, cases_frame, write_cases
from kd_monai.task import REGIONS
from kd_monai.training import score as module
from kd_monai.training.score import score


def finished(folder: Path, **changes: Any) -> Path:
    folder.mkdir()
    record = {"role": "student", "status": "FINISHED", "n_test": 2, **changes}
    (folder / "run.json").write_text(json.dumps(record))
    return folder


def write_scores(folder: Path) -> None:
    scores = {metric: dict.fromkeys(REGIONS, 0.5) for metric in METRICS}
    rows = [case_row(name, None, scores, dict.fromkeys(REGIONS, False), (1, 1, 1)) for name in ("a", "b")]
    write_cases(cases_frame(rows), folder / "cases.csv")


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    calls: list[Any] = []
    monkeypatch.setattr(module, "evaluate", lambda *arguments: calls.append(arguments))
    monkeypatch.setattr(module, "export_bundle", lambda folder, template, bundle: bundle.mkdir(exist_ok=True))
    monkeypatch.setattr(module, "bundle_of", lambda folder: (folder / "bundle").mkdir(exist_ok=True))
    return calls


def test_a_run_is_scored_once_and_again_by_force(tmp_path: Path, evaluated: list[Any]) -> None:
    run = finished(tmp_path / "run")
    assert score(run, {"dataset_dir": "/data"}) == run / "cases.csv"
    assert evaluated == [(STUDENT, run, {"dataset_dir": "/data"})]
    write_scores(run)
    score(run, {})
    assert len(evaluated) == 1
    score(run, {}, force=True)
    assert len(evaluated) == 2


def test_a_teacher_is_scored_by_its_own_bundle(tmp_path: Path, evaluated: list[Any]) -> None:
    score(finished(tmp_path / "run", role="teacher"), {})
    assert evaluated[0][0] == TEACHER


def test_a_run_on_every_subject_has_no_test_but_a_bundle(tmp_path: Path, evaluated: list[Any]) -> None:
    run = finished(tmp_path / "run", n_test=0)
    assert score(run, {}) is None
    assert not evaluated
    assert (run / "bundle").is_dir()


def test_a_scored_run_whose_bundle_is_gone_gets_it_again(tmp_path: Path, evaluated: list[Any]) -> None:
    run = finished(tmp_path / "run")
    write_scores(run)
    score(run, {})
    assert not evaluated
    assert (run / "bundle").is_dir()


@pytest.mark.parametrize("status", ["RUNNING", "FAILED"])
def test_an_unfinished_run_is_not_scored(tmp_path: Path, evaluated: list[Any], status: str) -> None:
    with pytest.raises(UserError, match=status):
        score(finished(tmp_path / "run", status=status), {})


def test_the_line_to_predict_with_can_be_typed_as_it_stands() -> None:
    one, two = (read_plans(read_command(["student", f"MODALITY={names}"]), "student") for names in ("t1ce", "t1-t2"))
    assert _predict_line(Path("/a b/run"), one).endswith("RUN='/a b/run' INPUT=t1ce.nii.gz")
    assert _predict_line(Path("/run"), two).endswith("RUN=/run INPUT=FOLDER")
