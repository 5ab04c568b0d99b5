"""A study on a phantom, killed half-way and resumed, ends as if nobody had disturbed it.

Two folds and two methods: six jobs, two at once. Those that the kill met, typed by hand into a copy of the others, say
what was to come.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tiny import TINY, coarse, command

from kd_monai.report.report import report, short
from kd_monai.runs.read import COSTS

JOBS = 6  # two teachers, two baselines, two students
SETTINGS = {name: TINY[name] for name in ("roi_size", "width", "spacing_mm", "overlap")} | {"steps_per_epoch": 1}
STUDY = (
    "FOLD=0,1", "FOLDS=2", "METHODS=baseline,kdnet", "MODALITIES=t1ce", "JOBS=2", "EPOCHS=2", "DEVICE=cpu",
    "SET=" + " ".join(f"{name}={value}" for name, value in SETTINGS.items()),
)  # fmt: skip


class Study:
    """A study into a folder, as its command line would have it."""

    def __init__(self, data: Path, out: Path) -> None:
        self.out, self.line = out, [f"DATA={data}", f"OUT={out}", *STUDY]

    def start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "kd_monai", "study", *self.line],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def commands(self) -> dict[str, str]:
        """Command of each job."""
        jobs: dict[str, dict[str, Any]] = json.loads((self.out / "study.json").read_text())["jobs"]
        return {name: job["command"] for name, job in jobs.items()}

    def finished(self) -> dict[str, Path]:
        """Run folder of each job that is finished."""
        markers = (self.out / "jobs").glob("*.done")
        return {file.stem: self.out / file.read_text().strip() for file in markers if file.read_text().strip()}

    def training(self) -> bool:
        """Whether a student is at work, an epoch behind it."""
        return any(self.out.glob("kdnet_*/checkpoints/epoch_000001_*.pt"))


@pytest.mark.slow
def test_a_study_killed_half_way_and_resumed_ends_with_table_and_report_of_its_commands_typed_one_by_one(
    phantom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    study = Study(coarse(phantom, tmp_path / "data", slice(None, None, 2)), tmp_path / "study")
    killed = study.start()
    while not study.training():
        assert killed.poll() is None, f"the study ended by itself: {killed.communicate()[0][-3000:]}"
        time.sleep(0.05)
    kill_tree(killed.pid)
    killed.communicate()
    before = study.finished()
    assert len(before) in range(2, JOBS)
    met = study.commands().keys() - before.keys()
    done = {name: written(run) for name, run in before.items()}

    assert command("study", study.line) == 0
    said = capsys.readouterr()
    assert study.finished().keys() == study.commands().keys()
    assert len(study.commands()) == JOBS
    assert f"{JOBS}/{JOBS} jobs finished" in said.err
    assert {name: written(study.finished()[name]) for name in done} == done  # not trained again
    assert any("Continuing" in (study.out / "jobs" / f"{name}.log").read_text() for name in met)
    parents = {json.loads(file.read_text())["parent_run_id"] for file in study.out.glob("*/mlflow.json")}
    assert (study.out / "report" / "report.md").is_file()
    assert len(parents) == 1

    typed = tmp_path / "typed"
    shutil.copytree(study.out / "jobs", typed / "jobs")
    for name, run in study.finished().items():
        if name not in met:
            shutil.copytree(run, typed / run.name)
    teachers_first = sorted(met, key=lambda name: not name.startswith("teacher"))
    for name in teachers_first:
        line = study.commands()[name].replace(str(study.out), str(typed))
        subprocess.run(line, shell=True, check=True, capture_output=True)
    for out in (study.out, typed):
        short(out)
        report(out)
    assert (study.out / "comparison.csv").read_text() == (typed / "comparison.csv").read_text()
    reports = [pd.read_csv(out / "report" / "report.csv") for out in (study.out, typed)]
    ours, theirs = (rows[~rows.metric.isin(COSTS)].reset_index(drop=True) for rows in reports)
    assert "endpoint" in set(ours.region)
    pd.testing.assert_frame_equal(ours, theirs, check_exact=True)


def kill_tree(pid: int) -> None:
    """A process and all that it has started, as a machine that loses its power does."""
    children = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout.split()
    os.kill(pid, signal.SIGKILL)
    for child in children:
        kill_tree(int(child))


def written(run: Path) -> int:
    """When the weights of a run were."""
    return (run / "model.pt").stat().st_mtime_ns
