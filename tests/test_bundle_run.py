"""`python -m monai.bundle run` from any folder: the same runs as the pipelines', bit for bit.

The first of them and the one that is killed are processes of their own, the others forks.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import (
    STUDENT,
    TEACHER,
    TINY,
    bundle_command,
    bundle_run,
    coarse,
    command,
    environment,
    evaluate,
    metrics,
    train,
    weights,
    words,
)
from warm_python import WarmPython

from kd_monai.config.overlays import SHARED, overlay, train_files

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bundle_run")


@pytest.fixture(scope="module")
def data(phantom: Path, folder: Path) -> Path:
    return coarse(phantom, folder / "data")


@pytest.fixture(scope="module")
def settings(data: Path) -> dict[str, Any]:
    return {"dataset_dir": str(data), **TINY}


@pytest.fixture(scope="module")
def teacher(data: Path, folder: Path) -> Path:
    """Trained as `make teacher` does."""
    assert command("teacher", words(data=str(data), out=str(folder / "pipeline"))) == 0
    (run,) = (folder / "pipeline").glob("teacher-*/")
    return run


@pytest.fixture(scope="module")
def baseline(settings: dict[str, Any], folder: Path) -> Path:
    """A baseline that `monai.bundle run` trained."""
    done = bundle_run(
        folder, STUDENT, [*train_files(STUDENT), overlay(STUDENT, "method", "baseline")], **settings, output_dir="runs"
    )
    assert done.returncode == 0, done.stdout
    (run,) = (folder / "runs").glob("baseline_t1ce-*/")
    return run


def assert_same_weights(one: Path, other: Path) -> None:
    a, b = weights(one), weights(other)
    assert a.keys() == b.keys()
    assert all(torch.equal(value, b[name]) for name, value in a.items())


def test_student_is_the_pipelines(
    teacher: Path, settings: dict[str, Any], data: Path, folder: Path, warm_python: WarmPython
) -> None:
    assert command("student", words(data=str(data), out=str(folder / "pipeline"), teacher=str(teacher))) == 0
    (student,) = (folder / "pipeline").glob("kdnet_t1ce-*/")
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    done = bundle_run(
        elsewhere,
        STUDENT,
        train_files(STUDENT),
        **settings,
        teacher=teacher,
        output_dir="other_runs",
        python=warm_python.program,
    )
    assert done.returncode == 0, done.stdout
    run = elsewhere / "other_runs" / student.name
    assert (
        json.loads((run / "run.json").read_text())["run_key"]
        == json.loads((student / "run.json").read_text())["run_key"]
    )
    for prefix in ("train/", "val/"):
        assert metrics(run, prefix) == metrics(student, prefix)
    assert metrics(run, "val/")
    assert_same_weights(run, student)
    assert not any(path.name != "other_runs" for path in elsewhere.iterdir())


def test_student_without_teacher_says_so(settings: dict[str, Any], tmp_path: Path, warm_python: WarmPython) -> None:
    done = bundle_run(tmp_path, STUDENT, train_files(STUDENT), **settings, python=warm_python.program)
    assert done.returncode != 0
    assert "needs a trained teacher" in done.stdout
    assert not list(tmp_path.rglob("run.json"))


def test_no_epochs_are_refused_before_anything_is_cached(
    settings: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    with pytest.raises(ValueError, match=r"`epochs`.*at least 1; got 0"):
        train(TEACHER, [], {**settings, "epochs": 0, "output_dir": str(tmp_path / "runs")})
    assert "Caching" not in caplog.text
    assert not list(tmp_path.rglob("run.json"))


def test_finished_run_says_so(baseline: Path, settings: dict[str, Any], folder: Path, warm_python: WarmPython) -> None:
    before = (baseline / "model.pt").stat().st_mtime_ns
    done = bundle_run(
        folder,
        STUDENT,
        [*train_files(STUDENT), overlay(STUDENT, "method", "baseline")],
        **settings,
        output_dir="runs",
        python=warm_python.program,
    )
    assert done.returncode == 0, done.stdout
    assert f"Finished already: {baseline}" in done.stdout
    assert (baseline / "model.pt").stat().st_mtime_ns == before


def test_evaluation_is_the_pipelines(baseline: Path, folder: Path, tmp_path: Path, warm_python: WarmPython) -> None:
    files = [*train_files(STUDENT), baseline / "config.yaml", SHARED / "evaluate.yaml"]
    done = bundle_run(tmp_path, STUDENT, files, run_dir=baseline, device="cpu", python=warm_python.program)
    assert done.returncode == 0, done.stdout
    cases = (baseline / "cases.csv").read_bytes()
    (baseline / "cases.csv").unlink()
    evaluate(STUDENT, baseline, {"device": "cpu"})
    assert (baseline / "cases.csv").read_bytes() == cases


def test_killed_run_ends_as_if_nothing_had_happened(
    settings: dict[str, Any], tmp_path: Path, warm_python: WarmPython
) -> None:
    longer = {**settings, "epochs": 3, "steps_per_epoch": 4, "val_every": 1}
    undisturbed = train(TEACHER, [], {**longer, "output_dir": str(tmp_path / "undisturbed")})
    line = bundle_command(TEACHER, train_files(TEACHER), **longer, output_dir="killed")
    run = tmp_path / "killed" / undisturbed.path.name
    with (tmp_path / "log.txt").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, *line], cwd=tmp_path, env=environment(), stdout=log, stderr=subprocess.STDOUT
        )
        while not list(run.glob("checkpoints/epoch_000001_*.pt")):
            assert process.poll() is None, (tmp_path / "log.txt").read_text()
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert json.loads((run / "run.json").read_text())["status"] == "RUNNING"
    done = bundle_run(
        tmp_path, TEACHER, train_files(TEACHER), **longer, output_dir="killed", python=warm_python.program
    )
    assert done.returncode == 0, done.stdout
    assert f"Continuing {run}" in done.stdout
    assert "Continuing after epoch 1" in done.stdout
    assert json.loads((run / "run.json").read_text())["status"] == "FINISHED"
    assert_same_weights(run, undisturbed.path)
    for prefix in ("train/", "val/"):
        assert metrics(run, prefix) == metrics(undisturbed.path, prefix)
