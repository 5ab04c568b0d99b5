"""Small brains, and the weights of a network that answers with thresholds of its input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch

BUNDLES = Path(__file__).parents[2] / "bundles"
STUDENT = BUNDLES / "brats_monomodal_student"
TEACHER = BUNDLES / "brats_multimodal_teacher"

# left-posterior-superior, 4 mm, unequal sides, as oblique as a patient lies
TILT = 0.1
AFFINE = np.array(
    [
        [-4 * np.cos(TILT), 4 * np.sin(TILT), 0, 50],
        [-4 * np.sin(TILT), -4 * np.cos(TILT), 0, 70],
        [0, 0, 4, -60],
        [0, 0, 0, 1],
    ]
)
SHAPE = (30, 36, 32)


def brain() -> np.ndarray:
    """A litre of intensity 100 in a frame of zeros; in it oedema 200, in that core 300, in that enhancing 400."""
    centre, radii = np.array(SHAPE) / 2 - 0.5, np.array(SHAPE) / 2 - 1
    inside = sum(((i - c) / r) ** 2 for i, c, r in zip(np.ogrid[:30, :36, :32], centre, radii, strict=True)) < 1
    image = np.where(inside, 100.0, 0.0).astype(np.float32)
    image[8:14, 10:19, 9:15] = 200
    image[9:12, 11:17, 10:13] = 300
    image[9:11, 12:14, 10:12] = 400
    return image


def as_labels(image: np.ndarray, values: tuple[int, int, int] = (1, 2, 3)) -> np.ndarray:
    """What a right answer to `brain` looks like, drawn from the intensities."""
    core, oedema, enhancing = values
    return np.select([image == 400, image == 300, image == 200], [enhancing, core, oedema], 0).astype(np.uint8)


def save(image: np.ndarray, path: Path, affine: np.ndarray = AFFINE) -> Path:
    """Write a NIfTI file, its folder included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(image, affine), path)
    return path


def save_case(folder: Path, image: np.ndarray | None = None) -> Path:
    """Write a BraTS 2018 case folder with equal images and a reference."""
    image = brain() if image is None else image
    for modality in ("t1", "t1ce", "t2", "flair"):
        save(image, folder / f"{folder.name}_{modality}.nii.gz")
    save(as_labels(image), folder / f"{folder.name}_seg.nii.gz")
    return folder


def thresholds(image: np.ndarray, channels: int = 1) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Definition and weights of a convolution that finds TC (> 250), WT (> 150), ET (> 350) in normalised images."""
    inside = image[image != 0]
    mean, deviation = inside.mean(), inside.std()
    definition = {"_target_": "torch.nn.Conv3d", "in_channels": channels, "out_channels": 3, "kernel_size": 1}
    weight = torch.full((3, channels, 1, 1, 1), 10.0 / channels)
    bias = torch.tensor([-10.0 * (cut - mean) / deviation for cut in (250, 150, 350)])
    return definition, {"weight": weight, "bias": bias}
