"""A study through a real Slurm of one node on this machine, with Snakemake's plugin; no job trains anything."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fake_study
import pytest
import yaml
from slurm import MISSING, Slurm

HOWTO = Path(__file__).parents[2] / "docs" / "howto" / "slurm.md"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING) or os.getuid() != 0, reason="needs Debian's slurm-wlm and munge, and root"),
]


@pytest.fixture
def slurm() -> Iterator[Slurm]:
    pytest.importorskip("snakemake_executor_plugin_slurm")
    with tempfile.TemporaryDirectory(prefix="slurm", dir="/tmp") as folder, Slurm(Path(folder)) as started:
        yield started


class Study:
    """Two folds, baseline and KD-Net on T1ce: six jobs, with the how-to page's profile."""

    def __init__(self, slurm: Slurm) -> None:
        self.slurm, self.out = slurm, slurm.folder / "out"
        self.out.mkdir()

    def profile(self, **changes: Any) -> None:
        example = yaml.safe_load(HOWTO.read_text().split("```yaml")[1].split("```")[0])
        example["default-resources"].pop("gpu")
        example["default-resources"] |= {"slurm_partition": "main", "runtime": 1, "mem_mb": 100}
        example |= {"slurm-init-seconds-before-status-checks": 2, "seconds-between-status-checks": 2, **changes}
        (self.slurm.folder / "profile").mkdir(exist_ok=True)
        (self.slurm.folder / "profile" / "config.yaml").write_text(yaml.safe_dump(example))

    def start(self) -> subprocess.Popen[str]:
        words = [f"OUT={self.out}", "DATA=/data", "MODALITIES=t1ce", "METHODS=baseline,kdnet", "DEVICE=cpu"]
        return subprocess.Popen(
            [sys.executable, fake_study.__file__, *words, f"PROFILE={self.slurm.folder / 'profile'}"],
            env={**self.slurm.environment, "PYTHONPATH": str(Path(fake_study.__file__).parent), "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )

    def calls(self) -> list[str]:
        file = self.out / "calls.jsonl"
        return [json.loads(line)["name"] for line in file.read_text().splitlines()] if file.is_file() else []

    def wait(self, process: subprocess.Popen[str], begun: str) -> None:
        until = time.monotonic() + 240
        while not (self.out / f"{begun}-run" / "begun").exists():
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < until, (self.out / "study.log").read_text()[-3000:]
            time.sleep(0.2)


def test_a_study_through_slurm_outlives_refusals_cancellations_time_limits_and_its_submitter(slurm: Slurm) -> None:
    study = Study(slurm)
    study.profile(**{"set-resources": ["baseline:slurm_partition=nowhere"], "retries": 1})
    (study.out / "orders.json").write_text(
        json.dumps({"teacher-fold0": "wait", "teacher-fold1": "fail", "kdnet_t1ce-fold0": "wait"})
    )
    process = study.start()
    study.wait(process, "kdnet_t1ce-fold0-seed0")  # its teacher ran into the time limit, and was tried again
    assert study.calls().count("teacher-fold0-seed0") == 2
    running = slurm.call("squeue", "-h", "-t", "RUNNING", "-o", "%i").split()
    slurm.call("scancel", *running)
    said = process.communicate(timeout=400)[1]
    assert process.returncode == 1
    assert "3 of 6 jobs failed" in said
    assert said.count("invalid partition specified") == 2  # sbatch's own words, for each baseline
    assert "LABELS must be" in said
    assert "1 wait for a teacher that failed" in said
    assert study.calls().count("kdnet_t1ce-fold0-seed0") == 2  # cancelled, and tried again

    study.profile()
    (study.out / "orders.json").write_text(json.dumps({"teacher-fold1": "slow"}))
    before = study.calls()
    killed = study.start()
    study.wait(killed, "teacher-fold1-seed0")
    snakemake = int(subprocess.check_output(["pgrep", "-P", str(killed.pid)], text=True).split()[0])
    for pid in (killed.pid, snakemake):
        os.kill(pid, signal.SIGKILL)
    killed.communicate()
    process = study.start()
    said = process.communicate(timeout=400)[1]
    assert process.returncode == 0, said
    assert "6/6 jobs finished" in said
    again = study.calls()[len(before) :]
    assert {name for name in again if name.startswith(("teacher-fold0", "kdnet_t1ce-fold0"))} == set()
    (log,) = (study.out / "jobs").glob("teacher-fold1-*.log")
    assert "waiting for its end" in log.read_text() or again.count("teacher-fold1-seed0") == 1


def test_a_job_in_slurms_queue_is_not_shown_as_running(slurm: Slurm) -> None:
    study = Study(slurm)
    study.profile()
    (study.out / "orders.json").write_text("{}")
    slurm.call("scontrol", "update", "PartitionName=main", "State=DOWN")
    process = study.start()
    until = time.monotonic() + 120
    while len(slurm.call("squeue", "-h").splitlines()) < 4:
        assert time.monotonic() < until
        assert process.poll() is None
        time.sleep(0.5)
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 130
    assert "running" not in said
    assert "0/6 jobs finished" in said
    assert slurm.call("squeue", "-h").strip() == ""  # Ctrl-C cancels them
