"""The phantom as files in the BraTS 2018 layout."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt
from filelock import FileLock
from tqdm import tqdm

from kd_monai.atomic import write_json
from kd_monai.errors import UserError
from kd_monai.phantom.subject import SPACINGS_MM, grade_of, make_subject, subject_name

logger = logging.getLogger(__name__)

# raised whenever the same (seed, index) would give other voxels
PHANTOM_VERSION = 1
SETTINGS_FILE = "phantom.json"


def write_phantom(folder: str | Path, n_subjects: int, spacing_mm: int, seed: int, progress: bool = True) -> Path:
    """Write `<folder>/<HGG|LGG>/<case>/<case>_<modality>.nii.gz` and `_seg.nii.gz` for subjects 0 to n_subjects - 1.

    Subjects already there are kept, so an interrupted call is continued and a larger `n_subjects` adds to the set. Each
    subject's folder appears at once, complete. The settings stand in `<folder>/phantom.json`.

    Args:
        folder: data set to make; created where it does not exist.
        n_subjects: number of subjects, at least 1.
        spacing_mm: 1 or 2.
        seed: the data set's seed.
        progress: show a progress bar with a time estimate, on a terminal.

    Returns:
        `folder` as a path.

    Raises:
        UserError: fewer than one subject, an unknown spacing, a negative seed, a `folder` that holds a phantom with
            other settings or more subjects, or something else; nilearn is not installed.
    """
    if n_subjects < 1:
        raise UserError(f"n_subjects must be at least 1; got {n_subjects}.")
    if spacing_mm not in SPACINGS_MM:
        raise UserError(f"spacing_mm must be one of {SPACINGS_MM}; got {spacing_mm}.")
    if seed < 0:
        raise UserError(f"seed must not be negative; got {seed}.")
    root = Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    with FileLock(root / ".phantom.lock"):
        _claim(root, {"version": PHANTOM_VERSION, "spacing_mm": spacing_mm, "seed": seed, "subjects": n_subjects})
        for leftover in root.glob(".Phantom_*"):  # of an interrupted call; the lock says that none is running
            shutil.rmtree(leftover)
        missing = [i for i in range(n_subjects) if not _subject_folder(root, i).is_dir()]
        if not missing:
            logger.info("%s holds all %d phantom subjects with these settings already: kept", root, n_subjects)
        elif len(missing) < n_subjects:
            logger.info("%s holds %d of %d phantom subjects: kept", root, n_subjects - len(missing), n_subjects)
        # None: where standard error is no terminal there is no bar
        for index in tqdm(missing, desc="phantom", unit="subject", disable=None if progress and missing else True):
            _write_subject(root, index, spacing_mm, seed)
    return root


def _claim(root: Path, settings: dict[str, int]) -> None:
    """Write the settings file, or compare with the one that is there."""
    path = root / SETTINGS_FILE
    if path.is_file():
        there = json.loads(path.read_text())
        differing = [key for key in settings if key != "subjects" and there.get(key) != settings[key]]
        if there.get("subjects", 0) > settings["subjects"]:
            differing.append("subjects")
        if differing:
            wanted = ", ".join(f"{key} {there.get(key)} (asked for {settings[key]})" for key in differing)
            raise UserError(
                f"A phantom is never overwritten; {root} holds one with {wanted}. "
                "Choose another folder, or delete this one."
            )
    elif any(not p.name.startswith(".") for p in root.iterdir()):
        raise UserError(
            f"A phantom goes into an empty folder; {root} holds other files and no {SETTINGS_FILE}. "
            "Choose another folder."
        )
    write_json(path, settings)


def _subject_folder(root: Path, index: int) -> Path:
    return root / grade_of(index) / subject_name(index)


def _write_subject(root: Path, index: int, spacing_mm: int, seed: int) -> None:
    """Write one subject into a temporary folder and rename it into place."""
    images, label, affine, _ = make_subject(index, spacing_mm, seed)
    target = _subject_folder(root, index)
    target.parent.mkdir(exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=root))
    draft.chmod(0o755)
    for modality, image in images.items():
        nib.save(_nifti(image, affine), draft / f"{target.name}_{modality}.nii.gz")
    nib.save(_nifti(label, affine), draft / f"{target.name}_seg.nii.gz")
    draft.replace(target)


def _nifti(array: npt.NDArray[np.int16] | npt.NDArray[np.uint8], affine: npt.NDArray[np.float64]) -> nib.Nifti1Image:
    """A NIfTI image with both forms of the affine and mm as unit, as BraTS files have."""
    image = nib.Nifti1Image(array, affine)
    image.set_sform(affine, 1)
    image.set_qform(affine, 1)
    image.header.set_xyzt_units("mm")
    return image
