"""The files of a datalist: every one is checked, each complaint names subject and file; whose labels they are."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kd_monai.data.entries import DataSource, Entry, key_of, recall
from kd_monai.data.entries import remember as note
from kd_monai.data.reader import UnreadableError, read_volume
from kd_monai.errors import UserError
from kd_monai.task import LABEL_CONVENTIONS, MODALITIES, LabelConvention

TOLERANCE_MM = 0.1
"""Two grids are one when none of their corners lie further apart than this."""

Job = tuple[str, tuple[int, ...] | None]
"""A path with the channels to read: ``()`` for a 3-D image, None for a label."""

logger = logging.getLogger(__name__)


class FileFacts(NamedTuple):
    """Grid of a file, and the values that occur in it if it is a label."""

    shape: tuple[int, ...]
    affine: tuple[float, ...]
    """The first three rows of the affine, flattened."""
    values: tuple[int, ...] = ()


def check_files(
    entries: Sequence[Entry], modalities: Sequence[str], remember: Path | None = None
) -> tuple[dict[str, tuple[int, ...]], list[str]]:
    """Label values by subject, and what is wrong with labels and with the images of ``modalities``.

    Files that do not exist are left out: `read_source` names them. Label values are not compared with a convention.

    Args:
        entries: of one data set.
        modalities: images to read; the labels are read in any case.
        remember: JSON file that notes files that passed: none is read again until it changes.
    """
    jobs = {entry["subject"]: jobs_of(entry, modalities) for entry in entries}
    facts = inspect_files([job for by_kind in jobs.values() for job in by_kind.values()], remember)
    values: dict[str, tuple[int, ...]] = {}
    problems: list[str] = []
    for subject, by_kind in jobs.items():
        sound: dict[str, tuple[str, FileFacts]] = {}
        for kind, job in by_kind.items():
            outcome = facts[job]
            if isinstance(outcome, str):
                problems.append(f"subject {subject}: the file {job[0]} {outcome}.")
            else:
                sound[kind] = (job[0], outcome)
        if sound:
            problems += grid_problems(subject, sound)
        if "label" in sound:
            values[subject] = sound["label"][1].values
    return values, list(dict.fromkeys(problems))


def with_sound_images(
    entries: Sequence[Entry], modalities: Sequence[str], check: bool, remember: Path | None = None
) -> list[Entry]:
    """Entries with the images that their samples hold: those of ``modalities``, and others that exist and are sound.

    One cache so serves networks of other modalities too, and a damaged file that no network reads harms nobody.

    Args:
        entries: of one data set, whose images of ``modalities`` have passed `check_files`.
        modalities: those that this run reads.
        check: read every voxel of the others; else they need only exist.
        remember: see `check_files`.
    """
    read = {entry["subject"]: jobs_of(entry, modalities) for entry in entries}
    others = [modality for modality in MODALITIES if modality not in modalities]
    more = {entry["subject"]: jobs_of({**entry, "label": ""}, others) for entry in entries}
    if check and any(more.values()):
        references = {subject: next(iter(jobs.values())) for subject, jobs in read.items() if jobs}
        facts = inspect_files(
            [*references.values(), *(job for jobs in more.values() for job in jobs.values())], remember
        )
        for subject, jobs in more.items():
            for modality, job in list(jobs.items()):
                fault = _fault(subject, modality, job, references[subject], facts)
                if fault:
                    logger.warning("%s Nobody reads it here; no %s is cached.", fault, modality)
                    del jobs[modality]
    return [
        {**entry, "image": {name: path for name, path in entry["image"].items() if name in names}}
        for entry in entries
        for names in [{*modalities, *more[entry["subject"]]}]
    ]


def _fault(subject: str, modality: str, job: Job, reference: Job, facts: dict[Job, FileFacts | str]) -> str:
    """What is wrong with an image, beside one of its subject that is sound; empty if nothing is."""
    outcome, sound = facts[job], facts[reference]
    if isinstance(outcome, str):
        return f"subject {subject}: the file {job[0]} {outcome}."
    if isinstance(sound, str):
        return ""
    files = {"what is read": (reference[0], sound), modality: (job[0], outcome)}
    return next(iter(grid_problems(subject, files)), "")


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


def _corner_distance_mm(one: FileFacts, other: FileFacts) -> float:
    """Largest distance between the corresponding corners of two grids of one shape, in mm."""
    corners = np.array(np.meshgrid(*[(0, side - 1) for side in one.shape])).reshape(3, -1)
    difference = np.reshape(one.affine, (3, 4)) - np.reshape(other.affine, (3, 4))
    return float(np.linalg.norm(difference @ np.vstack([corners, np.ones(corners.shape[1])]), axis=0).max())


# --- many files at once, and none again while it stays the same ---


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


def inspect_files(jobs: Iterable[Job], remember: Path | None = None) -> dict[Job, FileFacts | str]:
    """Facts, or what is wrong, of each file, read by as many threads as there are processors.

    A file that passed is noted in the JSON file ``remember`` and not read again while path, size and time of
    modification stay the same.
    """
    keys = {job: _key(job) for job in sorted(set(jobs), key=str)}
    known = _known_facts(remember)
    result: dict[Job, FileFacts | str] = {job: known[key] for job, key in keys.items() if key in known}
    new = [job for job in keys if job not in result]
    if new:
        logger.info("Checking every voxel of %d files", len(new))
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            result.update(zip(new, pool.map(_inspect, new), strict=True))
        note(remember, "facts", {keys[job]: facts for job in new if isinstance(facts := result[job], FileFacts)})
    return result


def _key(job: Job) -> str:
    path, channels = job
    return f"{key_of(path)}|{'label' if channels is None else channels}"


def _known_facts(remember: Path | None) -> dict[str, FileFacts]:
    try:
        return {key: FileFacts(*(tuple(part) for part in parts)) for key, parts in recall(remember, "facts").items()}
    except TypeError:
        logger.warning("%s does not hold the facts of checked files; all are checked again", remember)
        return {}


def _inspect(job: Job) -> FileFacts | str:
    path, channels = job
    try:
        return inspect_label(path) if channels is None else inspect_image(path, channels)
    except UnreadableError as error:
        return str(error)


# --- one file ---


def inspect_image(path: str | Path, channels: Sequence[int] = ()) -> FileFacts:
    """Facts of a 3-D image, or of these channels of a 4-D one.

    Raises:
        UnreadableError: unreadable, not 3-D (4-D), NaN or infinite voxels, or all voxels zero.
    """
    voxels, affine = _read(path, (4,) if channels else (3,))
    if channels and max(channels) >= voxels.shape[3]:
        raise UnreadableError(f"has {voxels.shape[3]} channels, but channel {max(channels)} is read (counted from 0)")
    for volume in [voxels[..., channel] for channel in channels] or [voxels]:
        # a sum is finite where all its terms are, and costs a third of testing each
        if np.issubdtype(volume.dtype, np.floating) and not np.isfinite(volume.sum(dtype=np.float64)):
            bad = int(volume.size - np.isfinite(volume).sum())
            if bad:
                raise UnreadableError(f"has {bad} NaN or infinite voxels. Repair it, or leave the subject out")
        if not volume.any():
            raise UnreadableError("is zero everywhere. Replace it, or leave the subject out")
    return _facts(voxels, affine)


def inspect_label(path: str | Path) -> FileFacts:
    """Facts of a 3-D label map.

    Raises:
        UnreadableError: unreadable, not 3-D, or values that are not exactly whole numbers.
    """
    voxels, affine = _read(path, (3,))
    values = np.unique(voxels[voxels != 0])
    # exactly: whoever reads the label next compares values, to which 3.9995 is no tumour
    others = values[~np.isfinite(values) | (values != np.round(values))]
    if others.size:
        examples = ", ".join(str(value) for value in others[:5].tolist())
        raise UnreadableError(
            f"must hold whole numbers exactly: it holds {examples}. It was interpolated or rescaled; write it again "
            "with nearest-neighbour values and an integer type"
        )
    return _facts(voxels, affine, (0, *sorted(int(value) for value in values)))


def _read(path: str | Path, dimensions: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    voxels, affine = read_volume(path)
    while voxels.ndim > max(dimensions) and voxels.shape[-1] == 1:
        voxels = voxels[..., 0]
    if voxels.ndim not in dimensions:
        wanted = " or ".join(f"{number}-D" for number in dimensions)
        raise UnreadableError(f"must be {wanted}: got shape {voxels.shape}. Replace it by one volume per modality")
    if not np.isfinite(affine).all():
        raise UnreadableError(f"has an affine with NaN or infinity: {affine.tolist()}. Repair its header")
    return voxels, affine


def _facts(voxels: np.ndarray, affine: np.ndarray, values: tuple[int, ...] = ()) -> FileFacts:
    return FileFacts(tuple(voxels.shape[:3]), tuple(affine[:3].ravel().round(6).tolist()), values)


CHOICES = ", ".join(LABEL_CONVENTIONS)


def choose_convention(labels: str, source: DataSource, values: Collection[int]) -> LabelConvention:
    """Convention named by ``labels``, or with ``"auto"`` the one that follows from layout and values.

    ``values`` are all label values that occur. brats2023 and msd share {1, 2, 3} with 1 and 2 exchanged, so values
    alone never choose between those two.

    Raises:
        UserError: an unknown name, or a data set from which no single convention follows.
    """
    if labels != "auto":
        if labels not in LABEL_CONVENTIONS:
            raise UserError(f"LABELS must be auto or one of {CHOICES}: got {labels!r}. Correct LABELS.")
        return LABEL_CONVENTIONS[labels]
    if source.layout == source.convention == "brats2023" and 4 in values:
        return LABEL_CONVENTIONS["brats2024"]
    if source.convention is not None:
        return LABEL_CONVENTIONS[source.convention]
    if source.layout in ("nnunet", "datalist") and 4 in values:
        return LABEL_CONVENTIONS["brats2024" if 3 in values else "brats2018"]
    hint = f" ({source.hint})" if source.hint else ""
    where = ", or as 'label_convention' in the datalist JSON" if source.layout == "datalist" else ""
    raise UserError(
        f"the label convention must be declared: it does not follow from a data set of layout {source.layout} with "
        f"label values {sorted(values)}{hint}. Set LABELS to one of {CHOICES}{where}. In brats2023, 1 is core and 2 "
        "oedema; in msd, and in what nnU-Net's BraTS converters write, 1 is oedema and 2 core."
    )


def convention_problems(
    values: Mapping[str, Collection[int]], path_of: Mapping[str, str], convention: LabelConvention
) -> list[str]:
    """Complaints on label files with values that the convention does not have, one for all that have the same ones.

    Args:
        values: label values by subject.
        path_of: label file by subject.
        convention: the one that they should have.
    """
    alike: dict[tuple[int, ...], list[str]] = {}
    for subject, present in values.items():
        extra = tuple(sorted(set(present) - convention.values))
        if extra:
            alike.setdefault(extra, []).append(subject)
    return [_complaint(subjects, extra, values, path_of, convention) for extra, subjects in alike.items()]


def _complaint(
    subjects: Sequence[str],
    extra: Sequence[int],
    values: Mapping[str, Collection[int]],
    path_of: Mapping[str, str],
    convention: LabelConvention,
) -> str:
    present = {value for subject in subjects for value in values[subject]}
    fitting = [name for name, other in LABEL_CONVENTIONS.items() if present <= other.values]
    remedy = f"Set LABELS={' or '.join(fitting)} if that is what they mean, or correct" if fitting else "Correct"
    (first, *others), path = subjects, path_of[subjects[0]]
    who = f"subject {first}" if not others else f"{len(subjects)} of {len(values)} subjects, {', '.join(subjects[:3])}"
    who += " ..." if len(subjects) > 3 else ""
    also = f"{path} also has" if not others else f"theirs, {path} first, also have"
    files = "files" if others else "file"
    rule = f"labels of {convention.name} are {sorted(convention.values)}"
    return f"{who}: {rule}, but {also} {list(extra)}. {remedy} the {files}."
