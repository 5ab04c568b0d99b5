"""A study on a phantom, killed half-way and resumed, ends as one that nobody disturbed.

Two folds and two methods: six cells, two at once. The study that is killed is a process; the others run in this one.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from kd_monai.data.phantom import write_phantom
from tiny import PIPELINES, TINY, pipeline

STUDY = {
    "fold": "0,1", "folds": "2", "methods": "baseline,kdnet", "modalities": "t1ce", "jobs": "2", "epochs": "2",
    "n-subjects": "all", "device": "cpu",
}  # fmt: skip
CELLS = 6  # two teachers, two baselines, two students


class Study:
    """A study into a folder, as its command line would have it."""

    def __init__(self, data: Path, out: Path) -> None:
        self.out = out
        settings = [f"{name}={TINY[name]}" for name in TINY if name not in ("epochs", "n_subjects", "device")]
        self.line = ["--data", str(data), "--out", str(out)]
        self.line += [part for name, value in STUDY.items() for part in (f"--{name}", value)]
        self.line += [part for setting in settings for part in ("--set", setting)]

    def start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(PIPELINES / "study.py"), *self.line],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def cells(self) -> dict[str, Any]:
        file = self.out / "study.json"
        return json.loads(file.read_text())["cells"] if file.is_file() else {}

    def states(self) -> list[str]:
        return sorted(cell["state"] for cell in self.cells().values())

    def table(self) -> pd.DataFrame:
        return pd.read_csv(self.out / "comparison.csv")


def until(true: Any, study: subprocess.Popen[str]) -> None:
    while not true():
        if study.poll() is not None:
            pytest.fail(f"the study ended by itself: {study.communicate()[0][-3000:]}")
        time.sleep(0.05)


def training(study: Study) -> bool:
    """A student is at work, an epoch behind it."""
    return any(study.out.glob("kdnet_*/checkpoints/epoch_000001_*.pt"))


@pytest.mark.slow
def test_a_study_killed_half_way_and_resumed_ends_with_the_table_of_an_undisturbed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    data = write_phantom(tmp_path / "phantom", 4, spacing_mm=2, seed=0, progress=False)
    disturbed, whole = Study(data, tmp_path / "disturbed"), Study(data, tmp_path / "whole")
    killed = disturbed.start()
    until(lambda: training(disturbed), killed)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    states = disturbed.states()
    assert states.count("finished") in range(2, CELLS)
    assert states.count("running") > 0
    done = {name: (disturbed.out / cell["run"] / "model.pt").stat().st_mtime_ns
            for name, cell in disturbed.cells().items() if cell["state"] == "finished"}  # fmt: skip

    assert pipeline("study", disturbed.line, monkeypatch) == 0
    said = capsys.readouterr()
    assert disturbed.states() == ["finished"] * CELLS
    assert "Comparison: " in said.out
    assert f"{CELLS}/{CELLS} cells finished" in said.err
    logs = {name: (disturbed.out / cell["log"]).read_text() for name, cell in disturbed.cells().items()}
    assert any("Continuing" in log for log in logs.values())
    for name, written in done.items():
        assert (disturbed.out / disturbed.cells()[name]["run"] / "model.pt").stat().st_mtime_ns == written

    assert pipeline("study", whole.line, monkeypatch) == 0
    pd.testing.assert_frame_equal(disturbed.table(), whole.table(), check_exact=True)
    assert (disturbed.out / "report" / "report.md").is_file()
    parents = {json.loads(file.read_text())["parent_run_id"] for file in whole.out.glob("*/mlflow.json")}
    assert len(parents) == 1
