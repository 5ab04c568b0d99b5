"""One volume from disk, read to its last byte, whatever its format."""

import gzip
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from isal import igzip
from isal.isal_zlib import IsalError
from monai.transforms import LoadImage
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError


class UnreadableError(ValueError):
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


def read_grid(path: str | Path) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Shape (voxels) and spacing (mm) of a volume's three axes, from its header where the format has one."""
    path = Path(path)
    if path.name.lower().endswith((".nii", ".nii.gz")):
        header: Any = nib.load(path).header
        return tuple(header.get_data_shape()[:3]), tuple(float(size) for size in header.get_zooms()[:3])
    voxels, affine = read_volume(path)
    return voxels.shape[:3], tuple(float(size) for size in np.linalg.norm(affine[:3, :3], axis=0))
