"""The bundle of a finished run."""

from __future__ import annotations

import json
from pathlib import Path

from kd_monai.study.export import export_bundle
from kd_monai.study.launch import STUDENT, TEACHER


def bundle_of(run_folder: str | Path) -> Path:
    """``<run folder>/bundle``, exported where it is missing, from the template that the run's role asks for.

    Raises:
        ValueError: the folder is no run folder.
        FileNotFoundError: the run is not finished.
    """
    run_folder = Path(run_folder)
    bundle = run_folder / "bundle"
    if bundle.is_dir():
        return bundle
    if not (run_folder / "run.json").is_file():
        raise ValueError(f"A run folder has a run.json; {run_folder} has none. Name a folder that a training wrote.")
    teacher = json.loads((run_folder / "run.json").read_text())["role"] == "teacher"
    return export_bundle(run_folder, TEACHER if teacher else STUDENT, bundle)
