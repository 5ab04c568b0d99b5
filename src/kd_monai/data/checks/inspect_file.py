"""What a run must know of one file, from reading its every voxel."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kd_monai.data.reader import UnreadableError, read_volume


class FileFacts(NamedTuple):
    """Grid of a file, and the values that occur in it if it is a label."""

    shape: tuple[int, ...]
    affine: tuple[float, ...]
    """The first three rows of the affine, flattened."""
    values: tuple[int, ...] = ()


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


def inspect_image(path: str | Path, channels: Sequence[int] = ()) -> FileFacts:
    """Facts of a 3-D image, or of the given channels of a 4-D one.

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
        shown = ", ".join(str(value) for value in others[:5].tolist())
        raise UnreadableError(
            f"must hold whole numbers exactly: it holds {shown}. It was interpolated or rescaled; write it again with "
            "nearest-neighbour values and an integer type"
        )
    return _facts(voxels, affine, (0, *sorted(int(value) for value in values)))
