"""Data sets of a few tiny subjects, written in every layout."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np

SHAPE = (12, 14, 10)
AFFINE = np.array([[-2.0, 0, 0, 0], [0, -2.0, 0, 239], [0, 0, 2.0, 0], [0, 0, 0, 1]])
"""The axes of BraTS 2018: left and posterior."""
NAMES_2018 = {"t1": "_t1", "t1ce": "_t1ce", "t2": "_t2", "flair": "_flair", "label": "_seg"}
NAMES_2023 = {"t1": "-t1n", "t1ce": "-t1c", "t2": "-t2w", "flair": "-t2f", "label": "-seg"}


def volumes(seed: int = 0, values: Sequence[int] = (1, 2, 4)) -> dict[str, np.ndarray]:
    """Four images with a brain in the middle of zeros, and a label with each of the values in it."""
    rng = np.random.default_rng(seed)
    brain = np.zeros(SHAPE, bool)
    brain[2:9, 3:12, 1:8] = True
    arrays = {
        modality: np.where(brain, rng.integers(100, 1000, SHAPE), 0).astype(np.int16)
        for modality in ("t1", "t1ce", "t2", "flair")
    }
    label = np.zeros(SHAPE, np.uint8)
    for position, value in enumerate(values):
        label[3 + position, 4:7, 2:5] = value
    return arrays | {"label": label}


def save(path: Path, voxels: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(voxels, affine), path)
    return path


def write_case(
    folder: Path,
    subject: str,
    values: Sequence[int] = (1, 2, 4),
    names: Mapping[str, str] = NAMES_2018,
    extension: str = ".nii.gz",
    seed: int = 0,
) -> dict[str, Path]:
    """Files of one subject straight in the folder, by kind."""
    arrays = volumes(seed, values)
    return {kind: save(folder / f"{subject}{names[kind]}{extension}", arrays[kind]) for kind in names}


def write_brats(root: Path, count: int = 6, lgg: int = 2, without_et: int = 1) -> Path:
    """BraTS 2018 folder; the last ``lgg`` are low grade, and the last ``without_et`` have no enhancing tumour."""
    for number in range(count):
        grade = "LGG" if number >= count - lgg else "HGG"
        values = (1, 2) if number >= count - without_et else (1, 2, 4)
        write_case(root / grade / f"S{number:02}", f"S{number:02}", values, seed=number)
    return root


def write_msd(root: Path, count: int = 3) -> Path:
    """MSD Task01: channels FLAIR, T1, T1ce, T2 in one file; 1 oedema, 2 core, 3 enhancing."""
    training = []
    for number in range(count):
        arrays = volumes(number, (1, 2, 3))
        name = f"BRATS_{number:03}.nii.gz"
        stacked = np.stack([arrays[modality] for modality in ("flair", "t1", "t1ce", "t2")], axis=-1)
        save(root / "imagesTr" / name, stacked)
        save(root / "labelsTr" / name, arrays["label"])
        training.append({"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"})
    description = {"modality": {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"}, "training": training}
    (root / "dataset.json").write_text(json.dumps(description))
    (root / "imagesTr" / "._BRATS_000.nii.gz").write_bytes(b"what the archive of macOS leaves behind")
    return root


def write_nnunet(root: Path, count: int = 3, values: Sequence[int] = (1, 2, 3)) -> Path:
    """nnU-Net raw with channels in another order."""
    channels = ("t1", "t1ce", "t2", "flair")
    for number in range(count):
        arrays = volumes(number, values)
        for channel, modality in enumerate(channels):
            save(root / "imagesTr" / f"case{number}_{channel:04}.nii.gz", arrays[modality])
        save(root / "labelsTr" / f"case{number}.nii.gz", arrays["label"])
    description = {
        "channel_names": dict(enumerate(("T1", "T1ce", "T2", "Flair"))),
        "labels": {"background": 0, "edema": 1, "core": 2, "enhancing": 3},
        "file_ending": ".nii.gz",
    }
    (root / "dataset.json").write_text(json.dumps(description))
    return root
