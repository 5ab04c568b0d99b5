"""The bundle of a finished run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kd_monai.config.overlays import STUDENT, TEACHER
from kd_monai.export.bundle import export_bundle


def finished_record(run_folder: Path) -> dict[str, Any]:
    """The ``run.json`` of a finished training.

    Raises:
        ValueError: the folder is no run folder, or the training is not finished.
    """
    file = run_folder / "run.json"
    if not file.is_file():
        raise ValueError(f"A run folder has a run.json; {run_folder} has none. Name a folder that a training wrote.")
    record: dict[str, Any] = json.loads(file.read_text())
    if record.get("status") != "FINISHED":
        raise ValueError(
            f"A finished training is asked for; {run_folder} is {record.get('status', 'no training')}. "
            "Launch its training again, or name another run."
        )
    return record


def finished_runs(out: Path) -> list[Path]:
    """Folders of the finished trainings in an output folder, without those that have nothing to score.

    Those are teachers of inner folds, which only teach, and runs without weights (`unpack`).
    """
    records = {file.parent: json.loads(file.read_text()) for file in sorted(out.glob("*/run.json"))}
    return [
        folder
        for folder, record in records.items()
        if record.get("status") == "FINISHED" and record.get("inner_fold") is None and (folder / "model.pt").is_file()
    ]


def template_of(record: Mapping[str, Any]) -> Path:
    """The bundle that trained a run."""
    return TEACHER if record["role"] == "teacher" else STUDENT


def bundle_of(run_folder: str | Path) -> Path:
    """``<run folder>/bundle``, exported where it is missing, from the template that the run's role asks for.

    Raises:
        ValueError: the folder is no finished run's.
        FileNotFoundError: one of its files is missing.
    """
    run_folder = Path(run_folder)
    bundle = run_folder / "bundle"
    if bundle.is_dir():
        return bundle
    return export_bundle(run_folder, template_of(finished_record(run_folder)), bundle)
