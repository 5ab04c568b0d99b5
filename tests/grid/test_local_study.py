"""A study's jobs on this machine, by Snakemake; no job trains anything."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import fake_study
import pytest

from kd_monai.config.variables import read_command
from kd_monai.errors import UserError
from kd_monai.grid.workflow import study

JOBS = {f"{kind}-fold{fold}-seed0" for kind in ("teacher", "baseline_t1ce", "kdnet_t1ce") for fold in (0, 1)}


class Study:
    """Two folds, baseline and KD-Net on T1ce: six jobs."""

    def __init__(self, out: Path, **variables: str) -> None:
        self.out = out
        self.variables = {
            "OUT": str(out),
            "DATA": "/data",
            "MODALITIES": "t1ce",
            "JOBS": "2",
            "DEVICE": "cpu",
        } | variables
        out.mkdir(exist_ok=True)

    def order(self, orders: dict[str, str]) -> None:
        """What goes wrong: a part of a job's name -> fail, wait, unnoted."""
        (self.out / "orders.json").write_text(json.dumps(orders))

    def run(self) -> int:
        return fake_study.fake_study(self.variables)

    def start(self) -> subprocess.Popen[str]:
        words = [f"{name}={value}" for name, value in self.variables.items()]
        return subprocess.Popen([sys.executable, fake_study.__file__, *words], stderr=subprocess.PIPE, text=True)

    def calls(self) -> list[dict[str, Any]]:
        file = self.out / "calls.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []

    def names(self) -> list[str]:
        """Of the jobs whose command was started, in that order."""
        return [call["name"] for call in self.calls()]


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    return Study(tmp_path / "runs")


@pytest.mark.slow
def test_a_failed_job_is_named_its_students_wait_and_the_rest_goes_on(
    local: Study, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    local.order({"teacher-fold0": "fail", "baseline_t1ce-fold1": "unnoted"})
    assert local.run() == 1
    assert sorted(local.names()) == sorted(JOBS - {"kdnet_t1ce-fold0-seed0"})
    complaint = caplog.messages[-1]
    assert "2 of 6 jobs failed" in complaint
    assert "ValueError: LABELS must be one of these" in complaint  # the last error of the log, on one line
    assert "1 wait for a teacher" in complaint
    (log,) = (local.out / "jobs").glob("teacher-fold0-*.log")
    assert str(log) in complaint
    command = next(line for line in complaint.splitlines() if "command" in line and "teacher" in line)
    assert "FOLD=0" in command
    said = capfd.readouterr()
    assert "3/6 jobs finished" in said.err
    assert "2 failed" in said.err
    assert "1 blocked" in said.err
    assert "left" in said.err
    assert "the report" in said.out

    local.order({})
    before = len(local.names())
    assert local.run() == 0
    assert sorted(local.names()[before:]) == [
        "baseline_t1ce-fold1-seed0", "kdnet_t1ce-fold0-seed0", "teacher-fold0-seed0",
    ]  # fmt: skip
    student = next(call for call in local.calls() if call["name"] == "kdnet_t1ce-fold0-seed0")
    assert student["variables"]["TEACHER"] == str(local.out / "teacher-fold0-seed0-run")
    assert {call["threads"] for call in local.calls()} <= {"1", "2"}
    assert {call["variables"]["CACHE"] for call in local.calls()} == {"disk"}  # no job builds a cache of its own

    # a copy elsewhere is as finished, and weights that an unpacked study lacks are trained for new students alone
    copy = Study(local.out.parent / "copy")
    shutil.copytree(local.out, copy.out, dirs_exist_ok=True)
    done = len(copy.names())
    assert copy.run() == 0
    assert len(copy.names()) == done
    for weights in copy.out.glob("*/model.pt"):
        weights.unlink()
    assert copy.run() == 0
    assert len(copy.names()) == done
    more = Study(copy.out, METHODS="baseline,kdnet,hinton")
    assert more.run() == 0
    assert sorted(more.names()[done:]) == sorted(
        f"{kind}-fold{fold}-seed0" for kind in ("teacher", "hinton_t1ce") for fold in (0, 1)
    )


@pytest.mark.slow
def test_a_study_that_is_interrupted_interrupts_its_jobs_and_continues(local: Study) -> None:
    local.order({"kdnet_t1ce-fold0": "wait"})
    process = local.start()
    begun = local.out / "kdnet_t1ce-fold0-seed0-run" / "begun"
    until = time.monotonic() + 120
    while not begun.exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until
        time.sleep(0.1)
    with pytest.raises(UserError, match="One study at a time"):
        local.run()
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 130
    assert "failed" not in said
    assert (begun.parent / "interrupted").exists()
    assert local.run() == 0
    again = local.names()
    assert again.count("kdnet_t1ce-fold0-seed0") == 2
    assert len(again) == len(JOBS) + 1


def test_a_profile_that_is_not_there_is_refused(tmp_path: Path) -> None:
    command = read_command(["study", f"OUT={tmp_path / 'o'}", "DATA=/data", f"PROFILE={tmp_path / 'nowhere'}"])
    with pytest.raises(UserError, match="PROFILE"):
        study(command)
    assert not (tmp_path / "o").exists()
