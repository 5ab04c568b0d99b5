"""Small subjects to train on for a few steps, and what stands in for MLflow meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest


class SilentTracker:
    """Stands in for MLflow, which takes seconds to import; keeps the losses of each epoch."""

    def __init__(self, record: Any) -> None:
        self.log = record.path / "losses.jsonl"

    def start(self) -> None: ...
    def log_resolved(self, values: dict[str, str]) -> None: ...

    def log_metrics(self, values: dict[str, float], step: int) -> None:
        losses = {name: value for name, value in values.items() if name.endswith("/loss")}
        with self.log.open("a") as file:
            file.write(json.dumps([step, losses]) + "\n")

    def save_durations(self) -> None: ...

    def log_durations(self) -> None: ...

    def log_artifact(self, path: Path, artifact_path: str | None = None) -> None: ...
    def end(self, status: str) -> None: ...


def write_volumes(folder: Path, count: int = 6, first: int = 0) -> Path:
    """Subjects of 36 x 34 x 35 voxels of 2 mm in the layout of BraTS 2018, all high grade."""
    random = np.random.default_rng(first)
    for i in range(first, first + count):
        case = folder / "HGG" / f"Brats18_X{i}_1_1"
        case.mkdir(parents=True)
        label = np.zeros((36, 34, 35), np.uint8)
        at = 8 + i % 6
        label[at : at + 12, 8:20, 8:20] = 2
        label[at + 2 : at + 8, 10:16, 10:16] = 1
        label[at + 4 : at + 7, 11:15, 11:15] = 4
        volumes = {name: random.uniform(1, 2, label.shape) + label for name in ("t1", "t1ce", "t2", "flair")}
        for kind, volume in {**volumes, "seg": label}.items():
            data = volume.astype(np.uint8 if kind == "seg" else np.float32)
            nib.save(nib.Nifti1Image(data, np.diag([2.0, 2, 2, 1])), case / f"{case.name}_{kind}.nii.gz")
    return folder


def short(data: Path, out: Path) -> dict[str, Any]:
    """Settings of a training of three epochs of two steps."""
    return {
        "dataset_dir": str(data), "output_dir": str(out), "device": "cpu", "precision": "fp32",
        "width": 1, "roi_size": [32, 32, 32], "epochs": 3, "steps_per_epoch": 2,
        "val_every": 1, "tracker": {"_target_": f"{__name__}.SilentTracker", "record": "@record"},
    }  # fmt: skip


def once(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, number: int, error: BaseException) -> None:
    """Raise at the n-th call of a handler's method."""
    method: Callable[..., None] = getattr(owner, name)
    calls = iter(range(1, 1000))

    def raising(self: Any, engine: Any) -> None:
        method(self, engine)
        if next(calls) == number:
            raise error

    monkeypatch.setattr(owner, name, raising)
