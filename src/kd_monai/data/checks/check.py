"""What is wrong with the files of a data set, found before a run starts."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kd_monai.data.checks.inspect_file import FileFacts
from kd_monai.data.checks.inspect_files import inspect_files, jobs_of
from kd_monai.data.entries import Entry

TOLERANCE_MM = 0.1
"""Two grids are one when none of their corners lie further apart than this."""


def _corner_distance_mm(one: FileFacts, other: FileFacts) -> float:
    """Largest distance between the corresponding corners of two grids of one shape, in mm."""
    corners = np.array(np.meshgrid(*[(0, side - 1) for side in one.shape])).reshape(3, -1)
    difference = np.reshape(one.affine, (3, 4)) - np.reshape(other.affine, (3, 4))
    return float(np.linalg.norm(difference @ np.vstack([corners, np.ones(corners.shape[1])]), axis=0).max())


def grid_problems(subject: str, files: dict[str, tuple[str, FileFacts]]) -> list[str]:
    """Complaints on files of one subject that do not share one grid; ``files`` are (path, facts) by kind."""
    if len({facts.shape for _, facts in files.values()}) > 1:
        listed = "; ".join(f"{kind} {facts.shape} in {path}" for kind, (path, facts) in files.items())
        return [f"subject {subject}: all its files must have one shape, but got {listed}. Resample them to one grid."]
    problems = []
    (first, (first_path, reference)), *others = files.items()
    for kind, (path, facts) in others:
        distance = _corner_distance_mm(reference, facts)
        if distance > TOLERANCE_MM:
            problems.append(
                f"subject {subject}: all its files must have one affine, but the corners of {kind} ({path}) lie up to "
                f"{distance:.3g} mm from those of {first} ({first_path}). Resample to one grid or repair the header."
            )
    return problems


def check_files(
    entries: Sequence[Entry], modalities: Sequence[str], remember: Path | None = None
) -> tuple[dict[str, tuple[int, ...]], list[str]]:
    """Label values by subject, and complaints on labels and on the images of ``modalities``; missing files are not its
    business, nor are label values that a convention does not have."""
    jobs = {entry["subject"]: jobs_of(entry, modalities) for entry in entries}
    facts = inspect_files([job for wanted in jobs.values() for job in wanted.values()], remember)
    values: dict[str, tuple[int, ...]] = {}
    problems: list[str] = []
    for subject, wanted in jobs.items():
        sound: dict[str, tuple[str, FileFacts]] = {}
        for kind, job in wanted.items():
            fact = facts[job]
            if isinstance(fact, str):
                problems.append(f"subject {subject}: the file {job[0]} {fact}.")
            else:
                sound[kind] = (job[0], fact)
        if sound:
            problems += grid_problems(subject, sound)
        if "label" in sound:
            values[subject] = sound["label"][1].values
    return values, list(dict.fromkeys(problems))
