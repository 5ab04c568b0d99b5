"""A study on a phantom, killed half-way and resumed, ends as if nobody had disturbed it.

Two folds and two methods: six cells, two at once. Those that the kill met, typed by hand into a copy of the others, say
what was to come.
"""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from tiny import PIPELINES, TINY, coarse, command

from kd_monai.export import bundle as export
from kd_monai.report.report import report
from kd_monai.runs.read import COSTS

STUDY = {
    "fold": "0,1", "folds": "2", "methods": "baseline,kdnet", "modalities": "t1ce", "jobs": "2", "epochs": "2",
    "n-subjects": "all", "device": "cpu",
}  # fmt: skip
CELLS = 6  # two teachers, two baselines, two students


class Study:
    """A study into a folder, as its command line would have it."""

    def __init__(self, data: Path, out: Path) -> None:
        self.out = out
        tiny = {name: TINY[name] for name in ("roi_size", "width", "spacing_mm", "overlap")} | {"steps_per_epoch": 1}
        self.line = ["--data", str(data), "--out", str(out)]
        self.line += [part for name, value in STUDY.items() for part in (f"--{name}", value)]
        self.line += [part for name, value in tiny.items() for part in ("--set", f"{name}={value}")]

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
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    before = study.cells()
    assert study.states().count("finished") in range(2, CELLS)
    met = [name for name, cell in before.items() if cell["state"] == "running"]
    assert met
    monkeypatch.setattr("kd_monai.report.figures.draw_figures", lambda *_: [])  # tests of the report draw them
    done = {name: written(study, name) for name, cell in before.items() if cell["state"] == "finished"}

    assert command('study', study.line) == 0
    said = capsys.readouterr()
    assert study.states() == ["finished"] * CELLS
    assert "Students against the baseline" in said.out
    assert f"{CELLS}/{CELLS} cells finished" in said.err
    assert {name: written(study, name) for name in done} == done  # not trained again
    assert any("Continuing" in (study.out / cell["log"]).read_text() for cell in study.cells().values())
    parents = {json.loads(file.read_text())["parent_run_id"] for file in study.out.glob("*/mlflow.json")}
    assert (study.out / "report" / "report.md").is_file()
    assert len(parents) == 1

    typed = tmp_path / "typed"
    for name, cell in study.cells().items():
        if name not in met:
            shutil.copytree(study.out / cell["run"], typed / cell["run"])
    monkeypatch.setattr(export, "openvino_is_installed", lambda: False)  # seconds, and no part of the table
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for cell in [study.cells()[name] for name in met]:
            _, script, *line = shlex.split(cell["command"])
            line = [part.replace(str(study.out), str(typed)) for part in line]
            assert command(Path(script).stem, line) == 0
    finally:
        torch.set_num_threads(threads)
    short(typed)
    assert (study.out / "comparison.csv").read_text() == (typed / "comparison.csv").read_text()
    report(typed)
    reports = [pd.read_csv(out / "report" / "report.csv") for out in (study.out, typed)]
    ours, theirs = (rows[~rows.metric.isin(COSTS)].reset_index(drop=True) for rows in reports)
    assert "endpoint" in set(ours.region)
    pd.testing.assert_frame_equal(ours, theirs, check_exact=True)


def written(study: Study, name: str) -> int:
    """When the weights of a cell were."""
    return (study.out / study.cells()[name]["run"] / "model.pt").stat().st_mtime_ns
