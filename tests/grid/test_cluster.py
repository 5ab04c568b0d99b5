"""Cells as jobs, with submitit's local executor; but for one study, scripts of a few lines stand in for trainings."""

from __future__ import annotations

import builtins
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny import TINY, coarse, pipeline

from kd_monai.grid.cluster import CellJob, Jobs

SCRIPT = """
import os, sys, time
print("says", *sys.argv[1:], "with", os.environ["OMP_NUM_THREADS"], flush=True)
if sys.argv[1] == "wait":
    time.sleep(600)
sys.exit(int(sys.argv[1]))
"""


@pytest.fixture
def script(tmp_path: Path) -> str:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    return str(path)


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Jobs]:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    # a study takes SIGINT itself; a job would inherit that a shell in the background ignores it, and is ended by it
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    made = Jobs(3, tmp_path / "jobs", "local", {"timeout_min": "5"}, threads=1)
    yield made
    made.stop()
    signal.signal(signal.SIGINT, before)


@pytest.mark.slow
def test_a_jobs_exit_status_and_log_are_its_commands_and_a_stop_ends_what_runs(
    script: str, tmp_path: Path, jobs: Jobs
) -> None:
    for cell, argument in (("well", "0"), ("ill", "3"), ("long", "wait")):
        assert jobs.free
        assert jobs.start(cell, [script, argument], tmp_path / cell) == "OMP_NUM_THREADS=1 "
    assert not jobs.free
    ended: dict[str, str] = {}
    until = time.monotonic() + 240
    while len(ended) < 2 or not (tmp_path / "long").is_file():
        assert time.monotonic() < until, f"{ended} after four minutes"
        ended |= jobs.ended(0.2)
    assert ended == {"well": "", "ill": "exit status 3"}
    assert (tmp_path / "well").read_text() == "says 0 with 1\n"
    (job,) = jobs._jobs.values()
    jobs.stop()
    assert job.done()
    assert "OMP_NUM_THREADS" not in os.environ


@pytest.mark.slow
def test_a_grid_runs_as_submitits_jobs_and_ends_with_its_report(
    phantom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr("kd_monai.report.figures.draw_figures", lambda *_: [])
    given = {
        "data": coarse(phantom, tmp_path / "data", slice(None, None, 2)), "out": tmp_path / "out", "fold": 0,
        "folds": 2, "methods": "baseline", "modalities": "t1ce", "epochs": 1, "device": "cpu", "scheduler": "submitit",
    }  # fmt: skip
    tiny = {name: TINY[name] for name in ("steps_per_epoch", "roi_size", "width", "spacing_mm", "overlap")}
    line = [part for name, value in given.items() for part in (f"--{name}", str(value))]
    line += [part for name, value in tiny.items() for part in ("--set", f"{name}={value}")]
    assert pipeline("study", line, monkeypatch) == 0
    assert "| baseline" in capsys.readouterr().out
    (cell,) = json.loads((tmp_path / "out" / "study.json").read_text())["cells"].values()
    assert cell["state"] == "finished"
    assert (tmp_path / "out" / cell["run"] / "cases.csv").is_file()
    assert list((tmp_path / "out").rglob("*_submitted.pkl"))  # submitit's own


def test_a_job_that_ran_out_of_time_is_queued_again_with_its_command() -> None:
    again = CellJob().checkpoint(["script", "1"], "log")
    assert isinstance(again.function, CellJob)
    assert again.args == (["script", "1"], "log")


@pytest.mark.parametrize("parameters", [{"no_such": "1"}, {"timeout_min": "soon"}])
def test_what_submitit_does_not_take_is_refused(tmp_path: Path, parameters: dict[str, str]) -> None:
    with pytest.raises(
        ValueError, match=r"(?s)SCHEDULER=submitit .*\(SLURM\) that submitit takes; got .*Correct SLURM"
    ):
        Jobs(1, tmp_path, "local", parameters, threads=1)


def test_slurm_is_refused_where_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match=r"SCHEDULER=slurm needs that scheduler here.*leave SCHEDULER empty"):
        Jobs(1, tmp_path, "slurm", {}, threads=1)


def test_without_submitit_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: Any) -> Any:
        if name.startswith("submitit"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ValueError, match=r"needs? submitit; it is not installed.*\[cluster\]"):
        Jobs(1, tmp_path, "slurm", {}, threads=1)
