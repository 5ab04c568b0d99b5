"""What a run tells its tracker of itself: names, tags, parameters, versions and the machine."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch

from kd_monai.runs.folder import RunFolder
from kd_monai.tracking import Tracker

VERSIONS = ("kd_monai", "monai", "torch", "pytorch-ignite", "mlflow", "numpy", "nibabel", "itk")
TAGS = ("role", "method", "modality", "fold", "seed", "run_key", "teacher_key")
DESCRIBED = ("labels", "n_train", "n_val", "n_test", "data_digest", "split_digest", "device", "precision")
RESOLVED = ("memory_format", "teacher_runtime")
"""Settings that the training itself resolves and tells: MLflow keeps a parameter's first value, `auto` would stay."""
STUDY = ("data_digest", "split_digest", "labels", "recipe")


def _git_commit() -> str:
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "not a git checkout"
    return answer.stdout.strip()


def _cpu_name() -> str:
    """As its maker calls it, where the system knows."""
    cpuinfo = Path("/proc/cpuinfo")
    name = re.search(r"model name\s*:\s*(.+)", cpuinfo.read_text()) if cpuinfo.is_file() else None
    return name.group(1).strip() if name else platform.processor() or platform.machine()


class SilentTracker:
    """What the second and further processes of a training (torchrun) tell of it: nothing."""

    def start(self) -> None:
        """Say nothing."""

    def log_resolved(self, values: Mapping[str, str]) -> None:
        """Say nothing."""

    def log_metrics(self, values: dict[str, float], step: int = 0) -> None:
        """Say nothing."""

    def save_durations(self) -> None:
        """Say nothing."""

    def log_durations(self) -> None:
        """Say nothing."""

    def log_artifact(self, path: Path, artifact_path: str | None = None) -> None:
        """Say nothing."""

    def end(self, status: str = "FINISHED") -> None:
        """Say nothing."""


def run_tracker(record: RunFolder, experiment: str = "kd_monai") -> Tracker | SilentTracker:
    """A tracker that starts with the training; a run that ends without finishing is marked FAILED.

    Args:
        record: the run.
        experiment: MLflow experiment; one parent run per study lies in it: data set, split, label convention, recipe.
    """
    if idist.get_rank() > 0:
        return SilentTracker()
    facts: dict[str, Any] = {f"version/{name}": version(name) for name in VERSIONS}
    facts |= {
        "git_commit": _git_commit(),
        "python": platform.python_version(),
        "torch_threads": torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "cpu_count": os.cpu_count(),
        "cpu": _cpu_name(),
        "split_file": str(record.path / "split.json"),
    }
    settings = {name: value for name, value in record.config.items() if name not in RESOLVED}
    simple = {name: value for name, value in settings.items() if not isinstance(value, dict) or name == "terms"}
    described = {name: record.record[name] for name in DESCRIBED}
    study = {name: record.record[name] for name in STUDY}
    parent_name = f"{study['labels']}-{study['recipe']}-{record.datalist.digest[:8]}"
    tracker = Tracker(
        folder=record.path,
        experiment=experiment,
        run_name=record.name,
        tags={name: record.record[name] for name in TAGS if record.record[name] is not None},
        params={**simple, **described, **facts},
        parent_name=parent_name,
        parent_tags=study,
        replaces=record.replaces,
    )
    record.on_fail.append(tracker.end)
    tracker.on_resolved.append(record.note)
    return tracker
