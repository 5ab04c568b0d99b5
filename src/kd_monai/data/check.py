"""Reading every file that a run will read, before the run starts."""

import json
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from kd_monai.data.atomic import write_json
from kd_monai.data.found import Entry, file_signature
from kd_monai.data.inspect_file import FileFacts, inspect_image, inspect_label
from kd_monai.data.volume import UnreadableError

logger = logging.getLogger(__name__)

TOLERANCE_MM = 0.1
"""Two grids are one when none of their corners lie further apart than this."""

Job = tuple[str, tuple[int, ...] | None]
"""A path with the channels to read, ``()`` for a 3-D image, None for a label."""


def label_job(entry: Entry) -> Job:
    return entry["label"], None


def image_jobs(entry: Entry) -> dict[str, Job]:
    """Job by modality; modalities of one 4-D file share theirs."""
    channels = entry.get("channels", {})
    read: dict[str, list[int]] = {}
    for modality, path in entry["image"].items():
        read.setdefault(path, []).extend([channels[modality]] if modality in channels else [])
    return {modality: (path, tuple(sorted(read[path]))) for modality, path in entry["image"].items()}


def _key(job: Job) -> str:
    path, channels = job
    size, modified = file_signature(path)
    return f"{os.path.realpath(path)}|{size}|{modified}|{'label' if channels is None else channels}"


def _inspect(job: Job) -> FileFacts | str:
    path, channels = job
    try:
        return inspect_label(path) if channels is None else inspect_image(path, channels)
    except UnreadableError as error:
        return str(error)


def inspect_files(jobs: Sequence[Job], remember: Path | None = None) -> dict[Job, FileFacts | str]:
    """Facts, or what is wrong, of each file; files that exist only.

    A file that passed is remembered in the JSON file ``remember`` and not read again while path, size and time of
    modification stay the same.
    """
    jobs = sorted({job for job in jobs if os.path.exists(job[0])}, key=str)
    known: dict[str, list] = {}
    if remember is not None and remember.is_file():
        try:
            known = json.loads(remember.read_text())
        except json.JSONDecodeError:
            logger.warning("%s is not JSON; all files are checked again", remember)
    keys = {job: _key(job) for job in jobs}
    result: dict[Job, FileFacts | str] = {
        job: FileFacts(*(tuple(part) for part in known[key])) for job, key in keys.items() if key in known
    }
    new = [job for job in jobs if job not in result]
    if new:
        logger.info("Checking every voxel of %d files", len(new))
        with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
            result.update(zip(new, pool.map(_inspect, new), strict=True))
    if remember is not None and new:
        passed = {keys[job]: facts for job in new if isinstance(facts := result[job], FileFacts)}
        write_json(remember, {**known, **passed})
    return result


def _corner_distance_mm(one: FileFacts, other: FileFacts) -> float:
    """Largest distance between the corresponding corners of two grids of one shape, in mm."""
    corners = np.array(np.meshgrid(*[(0, side - 1) for side in one.shape])).reshape(3, -1)
    corners = np.vstack([corners, np.ones(corners.shape[1])])
    difference = np.reshape(one.affine, (3, 4)) - np.reshape(other.affine, (3, 4))
    return float(np.linalg.norm(difference @ corners, axis=0).max())


def grid_problems(subject: str, files: dict[str, tuple[str, FileFacts]]) -> list[str]:
    """Complaints on files of one subject that do not share one grid; ``files``: (path, facts) by modality or 'label'."""
    shapes = {facts.shape for _, facts in files.values()}
    if len(shapes) > 1:
        listed = "; ".join(f"{kind} {facts.shape} in {path}" for kind, (path, facts) in files.items())
        return [f"subject {subject}: all its files must have one shape, but {listed}. Resample them to one grid."]
    problems = []
    (first, (first_path, reference)), *others = files.items()
    for kind, (path, facts) in others:
        distance = _corner_distance_mm(reference, facts)
        if distance > TOLERANCE_MM:
            problems.append(
                f"subject {subject}: all its files must have one affine, but the corners of {kind} ({path}) lie up to "
                f"{distance:.3g} mm from those of {first} ({first_path}). Resample them to one grid or repair the header."
            )
    return problems
