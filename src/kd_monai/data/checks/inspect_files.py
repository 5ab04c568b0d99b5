"""Reading many files at once, and not again while they stay the same."""

import logging
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kd_monai.data.checks.inspect_file import FileFacts, inspect_image, inspect_label
from kd_monai.data.checks.remembered import key_of, recall
from kd_monai.data.checks.remembered import remember as note
from kd_monai.data.entries import Entry
from kd_monai.data.reader import UnreadableError

logger = logging.getLogger(__name__)

Job = tuple[str, tuple[int, ...] | None]
"""A path with the channels to read: ``()`` for a 3-D image, None for a label."""


def jobs_of(entry: Entry, modalities: Iterable[str]) -> dict[str, Job]:
    """Job by modality, and that of the ``"label"``; modalities of one 4-D file share theirs. Files that exist only."""
    images = {modality: entry["image"][modality] for modality in modalities if modality in entry["image"]}
    channels: dict[str, list[int]] = {}
    for modality, path in images.items():
        channels.setdefault(path, []).extend([entry["channels"][modality]] if "channels" in entry else [])
    jobs: dict[str, Job] = {modality: (path, tuple(sorted(channels[path]))) for modality, path in images.items()}
    if "label" in entry:
        jobs["label"] = (entry["label"], None)
    return {kind: job for kind, job in jobs.items() if os.path.exists(job[0])}


def _key(job: Job) -> str:
    path, channels = job
    return f"{key_of(path)}|{'label' if channels is None else channels}"


def _inspect(job: Job) -> FileFacts | str:
    path, channels = job
    try:
        return inspect_label(path) if channels is None else inspect_image(path, channels)
    except UnreadableError as error:
        return str(error)


def _remembered(path: Path | None) -> dict[str, FileFacts]:
    try:
        return {key: FileFacts(*(tuple(part) for part in parts)) for key, parts in recall(path, "facts").items()}
    except TypeError:
        logger.warning("%s does not hold the facts of checked files; all are checked again", path)
        return {}


def inspect_files(jobs: Iterable[Job], remember: Path | None = None) -> dict[Job, FileFacts | str]:
    """Facts, or what is wrong, of each file, read by as many threads as there are processors.

    A file that passed is noted in the JSON file ``remember`` and not read again while path, size and time of
    modification stay the same.
    """
    keys = {job: _key(job) for job in sorted(set(jobs), key=str)}
    known = _remembered(remember)
    result: dict[Job, FileFacts | str] = {job: known[key] for job, key in keys.items() if key in known}
    new = [job for job in keys if job not in result]
    if new:
        logger.info("Checking every voxel of %d files", len(new))
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            result.update(zip(new, pool.map(_inspect, new), strict=True))
        note(remember, "facts", {keys[job]: facts for job in new if isinstance(facts := result[job], FileFacts)})
    return result
