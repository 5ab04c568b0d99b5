"""Trainings of a few steps on a small phantom."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import torch

from kd_monai.__main__ import main
from kd_monai.config.overlays import BUNDLES, STUDENT, TEACHER, train_files
from kd_monai.config.plan import Plan
from kd_monai.training import workflow
from kd_monai.training.score import evaluate

__all__ = [
    "BUNDLES",
    "STUDENT",
    "TEACHER",
    "TINY",
    "bundle_run",
    "coarse",
    "command",
    "evaluate",
    "hashes",
    "metrics",
    "train",
    "weights",
    "words",
]

TINY: dict[str, Any] = {
    "epochs": 1,
    "n_subjects": 4,
    "steps_per_epoch": 2,
    "roi_size": [32, 32, 32],
    "width": 4,
    "spacing_mm": 4.0,  # half the data's: resampling is tried too, and validation is eight times faster
    "overlap": 0.25,
    "device": "cpu",
}


def coarse(phantom: Path, out: Path, subjects: slice = slice(None)) -> Path:
    """Its subjects, or some of them, every other voxel, 4 mm: scoring is eight times faster."""
    for subject in sorted(phantom.glob("*/*/"))[subjects]:
        for file in subject.glob("*.nii.gz"):
            image = nib.load(file)
            place = out / file.relative_to(phantom)
            place.parent.mkdir(parents=True, exist_ok=True)
            affine = image.affine @ np.diag([2.0, 2, 2, 1])
            nib.save(nib.Nifti1Image(np.asanyarray(image.dataobj)[::2, ::2, ::2], affine), place)
    return out


def words(**typed: str) -> list[str]:
    """`TINY` and more as the words behind a verb."""
    typed = {"epochs": str(TINY["epochs"]), "n_subjects": str(TINY["n_subjects"]), "device": TINY["device"], **typed}
    rest = {name: value for name, value in TINY.items() if name not in typed}
    settings = " ".join(f"{name}={value}" for name, value in rest.items())
    typed["set"] = f"{settings} {typed.get('set', '')}".strip()
    return [f"{name.upper()}={value}" for name, value in typed.items()]


def command(verb: str, line: list[str]) -> int:
    """Run a command in this process; its exit status."""
    return main([verb, *line])


def train(bundle: Path, overlays: Sequence[Path], overrides: Mapping[str, Any]) -> SimpleNamespace:
    """Train what a bundle and overlays say; `path` is the run folder, `model` its weights."""
    role = "teacher" if bundle == TEACHER else "student"
    path = workflow.train(Plan.read(role, bundle, [*train_files(bundle), *overlays], overrides))
    return SimpleNamespace(path=path, model=path / "model.pt", record=json.loads((path / "run.json").read_text()))


def bundle_command(bundle: Path, files: Sequence[Path], **overrides: Any) -> list[str]:
    """`python -m monai.bundle run` of a bundle's configuration files."""
    paths = [str(file) for file in files]
    line = ["-m", "monai.bundle", "run", "--bundle_root", str(bundle), "--config_file", str(paths)]
    return line + [part for name, value in overrides.items() for part in (f"--{name}", str(value))]


def bundle_run(
    cwd: Path, bundle: Path, files: Sequence[Path], python: str | Path = sys.executable, **overrides: Any
) -> subprocess.CompletedProcess[str]:
    """The same in a process of its own, with as many threads as this one; output and errors together."""
    return subprocess.run(
        [python, *bundle_command(bundle, files, **overrides)],
        cwd=cwd,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def environment() -> dict[str, str]:
    """Of a process that trains like this one: the number of threads decides the last bits of the weights."""
    return {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}


def weights(run: Path) -> dict[str, torch.Tensor]:
    """What a run learned."""
    return torch.load(run / "model.pt", weights_only=True)


def metrics(run: Path, prefix: str) -> dict[tuple[str, int], float]:
    """(key, step) -> value of a run's journal, for keys that begin so."""
    lines = [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]
    told = [line for line in lines if line["op"] == "metrics" and not line.get("parent")]
    return {
        (key, line["step"]): value
        for line in told
        for key, value in line["values"].items()
        if key.startswith(prefix) and "seconds" not in key
    }


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file under a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
