"""Every command of README, shortened, in README's order; then the verbs that README only names."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from tiny import coarse
from warm_python import WarmPython

ROOT = Path(__file__).parents[1]
COMMANDS = [
    line.partition("  # ")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    for line in block.splitlines()
    if line.strip()
]
SHORTER = {"steps_per_epoch": "2", "width": "4", "spacing_mm": "4.0", "roi_size": "[32,32,32]"}
"""Half the data's resolution: validation, scoring and export are eight times faster."""
NOT_RUN = {
    "make test": "these are the tests",
    "TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu make install": "it downloads torch from another index",
}
PROCESSES = "pipelines/serve.py | -c"
"""What is run by a Python of its own: what is stopped by signals."""
VERBS = {
    "make phantom SUBJECTS=1": (),
    "make teacher": (),
    "make evaluate": ("teacher",),
}
"""Cheap ones, and of the runs that README's commands have trained those that each must score anew."""


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("readme")


@pytest.fixture(scope="module")
def environment(out: Path, phantom: Path, warm_python: WarmPython) -> dict[str, str]:
    """Variables that shorten every verb; the environment that runs the tests stands in for .venv, forks for processes.

    The phantom is there, at 4 mm: to score what a few steps have taught costs eight times less. `make phantom` writes
    one of its own.
    """
    coarse(phantom, out / "phantom")
    (out / "phantom" / ".complete").touch()
    venv = out / "venv"
    python = venv / "bin" / "python"
    python.parent.mkdir(parents=True)
    # not a link: an interpreter looks for its packages beside the path by which it was called
    itself, fork = shlex.quote(sys.executable), shlex.quote(str(warm_python.program))
    python.write_text(f'#!/bin/sh\ncase "$1" in {PROCESSES}) exec {itself} "$@" ;; esac\nexec {fork} "$@"\n')
    python.chmod(0o755)
    (venv / ".installed").touch()
    return {
        **{name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")},
        "VENV": str(venv),
        "OUT": str(out / "runs"),
        "PHANTOM": str(out / "phantom"),
        "PREDICTIONS": str(out / "predictions"),
        "EPOCHS": "1",
        "N_SUBJECTS": "4",
        "SET": " ".join(f"{name}={value}" for name, value in SHORTER.items()),
        "SIZE": "tiny",
        "ONLY": "demo_phases",  # tests/benchmarks asks the others
        "PORT": "5123",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }


@pytest.fixture(scope="module")
def real(out: Path) -> Path | None:
    """Eight of the real cases at 4 mm, as many of each grade; None where there are none."""
    folder = os.environ.get("KD_MONAI_BRATS")
    if not folder:
        return None
    for grade in ("HGG", "LGG"):
        (out / "fine" / grade).mkdir(parents=True)
        for subject in sorted(Path(folder, grade).iterdir())[:4]:
            (out / "fine" / grade / subject.name).symlink_to(subject)
    return coarse(out / "fine", out / "real")


def filled_in(command: str, environment: dict[str, str], out: Path, real: Path | None) -> str:
    """README's placeholders as paths of this test."""
    phantom = out / "phantom"
    runs = {
        json.loads((config.parent / "run.json").read_text())["role"]: config.parent
        for config in sorted((out / "runs").glob("*/config.yaml"))
        if str(phantom) in config.read_text()
    }
    student, teacher = runs.get("student", Path("RUN")), runs.get("teacher", Path("RUN"))
    image = next(iter(sorted(phantom.glob("*/*/*_t1ce.nii.gz"))), Path("t1ce.nii.gz"))
    for placeholder, value in {
        # of the studies a corner, whose cells the commands before have finished
        "MODALITIES=t1ce,flair METHODS=baseline,kdnet FOLDS=3 SEEDS=0,1": "MODALITIES=t1ce FOLD=0 "
        "TEACHER_N_SUBJECTS=same",
        "DATA=../shared/brats/2mm MODALITIES=t1ce N_SUBJECTS=2,4,all FOLDS=3": f"DATA={phantom} MODALITIES=t1ce "
        "N_SUBJECTS=4 FOLD=0 METHODS=baseline",
        **dict.fromkeys(("OUT=runs/study", "OUT=runs/few"), f"OUT={out / 'runs'}"),
        "runs/kdnet_t1ce-fold0-KEY": student,
        "t1ce.nii.gz": image,
        "BUNDLE": student / "bundle",
        "--output_dir predictions": f"--output_dir {out / 'bundle_predictions'}",
        ".venv/bin/python": environment["VENV"] + "/bin/python",
        "--dataset_dir DATA --teacher RUN": f"--dataset_dir {phantom} --teacher {teacher} "
        f"--output_dir {out / 'bundle_runs'} --epochs 1 --n_subjects 4 "
        + " ".join(f"--{name} {value}" for name, value in SHORTER.items()),
        "../shared/brats/2mm": real or phantom,
        "../shared/brats/1mm": phantom,
        "PACK=runs/study.jsonl": f"PACK={out / 'study.jsonl'}",
    }.items():
        command = command.replace(placeholder, str(value))
    return command


def test_readme_has_commands() -> None:
    assert {"make demo", "make test", "make mlflow", "make compare"} <= set(COMMANDS)
    assert all(command in COMMANDS for command in NOT_RUN), "a command that is not run must still stand in README"


@pytest.mark.slow
@pytest.mark.parametrize("command", [command for command in COMMANDS if command not in NOT_RUN])
def test_command_runs(command: str, environment: dict[str, str], out: Path, real: Path | None) -> None:
    command = filled_in(command, environment, out, real)
    if command == "make mlflow":
        assert_serves(command, environment)
        return
    said = run(command, environment)
    if command.startswith(("make demo", "make student", "make baseline", "make study", "make compare", "make report")):
        assert "dice" in said.lower(), said
    if command.startswith("make bench"):
        assert "make demo by phase" in said
    if "predict" in command:
        written = out / ("predictions" if command.startswith("make") else "bundle_predictions")
        (image,) = re.findall(r"/([^/ ]+)_t1ce\.nii\.gz", command)
        assert [file.name for file in written.rglob("*.nii.gz")] == [f"{image}_t1ce_seg.nii.gz"]


@pytest.mark.slow
@pytest.mark.parametrize("verb", VERBS)
def test_verb_runs(verb: str, environment: dict[str, str], out: Path) -> None:
    unscored = [next((out / "runs").glob(f"{name}-fold0-*/cases.csv")) for name in VERBS[verb]]
    for cases in unscored:
        cases.unlink()
    run(verb, {**environment, "PHANTOM": str(out / "written")} if verb.startswith("make phantom") else environment)
    assert (out / "written" / "HGG").is_dir()
    assert all(cases.is_file() for cases in unscored)


def run(command: str, environment: dict[str, str]) -> str:
    """What a command that ends well prints."""
    done = subprocess.run(command, shell=True, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout


def assert_serves(command: str, environment: dict[str, str]) -> None:
    with subprocess.Popen(command.split(), cwd=ROOT, env=environment, start_new_session=True) as server:
        try:
            for _ in range(120):
                try:
                    with urllib.request.urlopen("http://127.0.0.1:5123/health", timeout=2) as answer:
                        assert answer.status == 200
                        return
                except OSError:
                    time.sleep(0.5)
            pytest.fail("`make mlflow` did not answer within a minute")
        finally:
            os.killpg(server.pid, signal.SIGTERM)


def test_make_alone_prints_every_verb_once_and_the_variables() -> None:
    printed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    verbs = [line.split()[1] for line in printed.splitlines() if line.startswith("  make ")]
    assert len(verbs) == len(set(verbs))
    assert re.search(r"^  MODALITY +what the student reads.*\(t1ce\)$", printed, re.MULTILINE)
    named = "teacher baseline student study evaluate compare report choose pack unpack predict mlflow phantom"
    named += " verify-bundles bench test lint demo"
    assert set(named.split()) <= set(verbs)
