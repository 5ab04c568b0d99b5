"""Volumes from disk, read to their last byte, whatever their format."""

from __future__ import annotations

import gzip
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from isal import igzip
from isal.isal_zlib import IsalError
from monai.data import ImageReader
from monai.transforms import LoadImage
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from kd_monai.errors import UserError
from kd_monai.task import CANONICAL, LABEL_CONVENTIONS, LabelConvention

_CHANNEL = re.compile(r"^(?P<path>.*)\[(?P<channel>\d+)\]$")


class UnreadableError(UserError):
    """A file that cannot be read; the message says why and what to do."""


def _read_nifti(path: Path) -> tuple[np.ndarray, np.ndarray]:
    content = path.read_bytes()
    if content[:2] == b"\x1f\x8b":
        # the whole stream, not only what the header asks for: this compares the checksum at its end as well
        content = igzip.decompress(content)
    is_nifti2 = content[:4] in (b"\x1c\x02\0\0", b"\0\0\x02\x1c")  # the size of its header, 540
    image = (nib.Nifti2Image if is_nifti2 else nib.Nifti1Image).from_bytes(content)
    affine: Any = image.affine
    return np.asarray(image.dataobj), np.asarray(affine, dtype=float)


def read_volume(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Voxels (H, W, D), or (H, W, D, C) of a 4-D file, and the 4 x 4 affine to RAS mm; a folder is a DICOM series.

    NIfTI is read by nibabel; NRRD, MHA and DICOM by MONAI's ITK reader.

    Raises:
        UnreadableError: the file is truncated, corrupt or of another kind.
    """
    path = Path(path)
    try:
        if path.name.lower().endswith((".nii", ".nii.gz")):
            return _read_nifti(path)
        image = LoadImage(image_only=True, dtype=None)(path)
        return image.numpy(), image.affine.numpy().astype(float)
    except EOFError as error:
        raise UnreadableError("is truncated (the compressed data end too early). Copy or download it again") from error
    except (gzip.BadGzipFile, IsalError) as error:  # type: ignore[misc]
        raise UnreadableError(f"is corrupt ({error}). Copy or download it again") from error
    except (OSError, ValueError, RuntimeError, ImageFileError, HeaderDataError, WrapStructError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UnreadableError(f"cannot be read as an image ({reason}). Replace it") from error


class VolumeReader(ImageReader):
    """For ``LoadImaged``: several files become channels, checksums are verified, and isal unpacks.

    ``name.nii.gz[2]`` is the third volume of a 4-D file, as AFNI writes it.

    Args:
        convention: of label maps, whose values become canonical (1 core, 2 oedema, 4 enhancing; what belongs to no
            region, 0); None of images.
    """

    def __init__(self, convention: LabelConvention | str | None = None) -> None:
        super().__init__()
        self.convention = LABEL_CONVENTIONS[convention] if isinstance(convention, str) else convention

    def verify_suffix(self, filename: Sequence[str] | str) -> bool:
        """Every format."""
        return True

    def read(self, data: Sequence[str] | str, **_: Any) -> tuple[str, ...]:
        """The names: LoadImage tries other readers where this fails, and would read a damaged file after all."""
        return (data,) if isinstance(data, str) else tuple(data)

    def get_data(self, img: tuple[str, ...]) -> tuple[np.ndarray, dict[str, Any]]:
        """Voxels, channels first where there are several files, and the metadata that MONAI's transforms read.

        Raises:
            UserError: a file cannot be read, is not one volume, or lies on another grid than the first.
        """
        read: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        volumes: list[np.ndarray] = []
        first: np.ndarray | None = None
        for name in img:
            match = _CHANNEL.match(name)
            path = match["path"] if match else name
            try:
                voxels, affine = read[path] = read.get(path) or read_volume(path)
            except UnreadableError as error:
                raise UnreadableError(f"{path} {error}") from error
            if match:
                voxels = voxels[..., int(match["channel"])]
            while voxels.ndim > 3 and voxels.shape[-1] == 1:
                voxels = voxels[..., 0]
            if voxels.ndim != 3:
                raise UnreadableError(f"{name} must be one volume; its shape is {voxels.shape}. Name one: {path}[0]")
            volumes.append(voxels)
            first = affine if first is None else first
            if volumes[-1].shape != volumes[0].shape or not np.allclose(affine, first, atol=1e-3):
                raise UserError(
                    f"The files of a subject must lie on one grid; {name} has {volumes[-1].shape} voxels where "
                    f"{img[0]} has {volumes[0].shape}, or another affine. Register them."
                )
        grid = np.asarray(first)
        meta = {
            "affine": grid,
            "original_affine": grid.copy(),
            "spatial_shape": np.array(volumes[0].shape),
            "original_channel_dim": 0 if len(volumes) > 1 else float("nan"),
            "space": "RAS",
        }
        channels = self._channels(volumes)
        return channels if len(volumes) > 1 else channels[0], meta

    def _channels(self, volumes: Sequence[np.ndarray]) -> np.ndarray:
        """C H W D, float32 or canonical values. NIfTI's first axis runs fastest; only what is not 0 is turned."""
        box = _box(volumes)
        channels = np.zeros((len(volumes), *volumes[0].shape), np.float32 if self.convention is None else np.uint8)
        for channel, volume in zip(channels, volumes, strict=True):
            channel[box] = volume[box] if self.convention is None else _canonical(volume[box], self.convention)
        return channels


def _canonical(values: np.ndarray, convention: LabelConvention) -> np.ndarray:
    table = np.zeros(256, np.uint8)
    table[list(convention.tumour)] = CANONICAL.tumour
    return table[values.astype(np.uint8)]


def _box(volumes: Sequence[np.ndarray]) -> tuple[slice, ...]:
    """The smallest box of all voxels that are not 0 in any of the volumes, in the order of H, W and D."""
    inside = volumes[0].T != 0  # the last axis is that of neighbours in memory
    for volume in volumes[1:]:
        inside |= volume.T != 0
    ranges = [np.flatnonzero(inside.any(axes)) for axes in ((0, 1), (0, 2), (1, 2))]
    return tuple(slice(indices[0], indices[-1] + 1) if len(indices) else slice(0) for indices in ranges)
