"""Every command of README, shortened, in README's order; then the verbs that README only names."""

from __future__ import annotations

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
from pages import ROOT, commands
from tiny import coarse

COMMANDS = commands(ROOT / "README.md")
NOT_RUN = {
    "make test": "these are the tests",
    "TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu make install": "it downloads torch from another index",
}
PORT = 5123
SETTINGS = "steps_per_epoch=2 width=4 spacing_mm=4.0 roi_size=[32, 32, 32]"
SHORTER = f"EPOCHS=1 N_SUBJECTS=4 DEVICE=cpu SET='{SETTINGS}'"
TRAINING = ("demo", "baseline", "student", "study")
NAMED_ALONE = ("make phantom SUBJECTS=1 PHANTOM={out}/written", "make compare OUT={out}/runs")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("readme")


@pytest.fixture(scope="module")
def environment(out: Path) -> dict[str, str]:
    """The environment that runs the tests stands in for .venv."""
    python = out / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    # not a link: an interpreter looks for its packages beside the path by which it was called
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    python.chmod(0o755)
    (out / "venv" / ".installed").touch()
    inherited = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")}
    return {**inherited, "VENV": str(out / "venv"), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


@pytest.fixture(scope="module")
def scans(out: Path, phantom: Path) -> Path:
    """The reader's scans: eight real cases at 4 mm, as many of each grade, or the phantom where there are none."""
    folder = os.environ.get("KD_MONAI_BRATS")
    if not folder:
        return coarse(phantom, out / "scans")
    for grade in ("HGG", "LGG"):
        (out / "fine" / grade).mkdir(parents=True)
        for subject in sorted(Path(folder, grade).iterdir())[:4]:
            (out / "fine" / grade / subject.name).symlink_to(subject)
    return coarse(out / "fine", out / "scans")


def filled_in(command: str, out: Path, scans: Path) -> str:
    """README's placeholders as paths of this test, and fewer and shorter trainings."""
    student = next(iter((out / "runs").glob("softlabels_t1ce-fold0-*/")), Path("RUN"))
    for placeholder, value in {
        # of the study a corner, whose jobs the commands before have finished in part
        "MODALITIES=t1ce,flair METHODS=baseline,kdnet FOLDS=3 SEEDS=0,1": "MODALITIES=t1ce METHODS=baseline,softlabels "
        "FOLD=0 TEACHER_N_SUBJECTS=same",
        "OUT=runs/study": "",
        "DATA=my_scans": "",
        "runs/softlabels_t1ce-fold0-KEY": student,
        "t1ce.nii.gz": next(scans.rglob("*_t1ce.nii.gz")),
        "BUNDLE": student / "bundle",
        "--output_dir predictions": f"--output_dir {out / 'bundle_predictions'}",
        ".venv/bin/python": sys.executable,
    }.items():
        command = command.replace(placeholder, str(value))
    verb = command.split()[1] if command.startswith("make") else ""
    if verb in TRAINING:
        command += f" DATA={scans} {SHORTER}"
    if verb == "predict":
        return f"{command} PREDICTIONS={out / 'predictions'}"
    return f"{command} OUT={out / 'runs'}" if verb else command


def test_readme_has_commands() -> None:
    assert {"make demo", "make test", "make mlflow"} <= set(COMMANDS)
    assert all(command in COMMANDS for command in NOT_RUN), "a command that is not run must still stand in README"


@pytest.mark.slow
@pytest.mark.parametrize("command", [command for command in COMMANDS if command not in NOT_RUN])
def test_command_runs(command: str, environment: dict[str, str], out: Path, scans: Path) -> None:
    command = filled_in(command, out, scans)
    if command.startswith("make mlflow"):
        assert_serves(f"{command} PORT={PORT}", environment)
        return
    printed = run(command, environment)
    if command.startswith(("make demo", "make student", "make baseline", "make study", "make report")):
        assert "dice" in printed.lower(), printed
    if "predict" in command:
        folder = out / ("predictions" if command.startswith("make") else "bundle_predictions")
        (image,) = re.findall(r"/([^/ ]+)_t1ce\.nii\.gz", command)
        assert [file.name for file in folder.rglob("*.nii.gz")] == [f"{image}_t1ce_seg.nii.gz"]


@pytest.mark.slow
@pytest.mark.parametrize("command", NAMED_ALONE)
def test_verb_that_only_other_pages_show_runs(command: str, environment: dict[str, str], out: Path) -> None:
    run(command.format(out=out), environment)
    assert "phantom" not in command or (out / "written" / "HGG").is_dir()


def run(command: str, environment: dict[str, str]) -> str:
    """What a command that ends well prints."""
    done = subprocess.run(command, shell=True, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout


def assert_serves(command: str, environment: dict[str, str]) -> None:
    with subprocess.Popen(shlex.split(command), cwd=ROOT, env=environment, start_new_session=True) as server:
        try:
            for _ in range(120):
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health", timeout=2) as answer:
                        assert answer.status == 200
                        return
                except OSError:
                    time.sleep(0.5)
            pytest.fail("`make mlflow` did not answer within a minute")
        finally:
            os.killpg(server.pid, signal.SIGTERM)


def test_make_alone_prints_every_verb_and_the_variables() -> None:
    printed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    verbs = "teacher baseline student study evaluate compare report choose pack unpack predict mlflow phantom"
    for verb in f"{verbs} verify-bundles bench test test-long lint docs figures demo".split():
        assert re.search(rf"^  (make )?{verb}\b", printed, re.MULTILINE), verb
    assert re.search(r"^ +MODALITY\b", printed, re.MULTILINE)
