"""A cached volume as a file: a checksum, what torch.save makes of all but the voxels, the voxels as they lie in memory.

Voxels that torch.load brings are copied twice on their way, which takes longer than all the rest.
"""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import torch
from isal import isal_zlib

from kd_monai.atomic import replacing
from kd_monai.data.cropped_volume import CroppedVolume

_HEAD = struct.Struct(">II")
"""CRC-32 of all that follows it, and the bytes of the description."""
_ALIGNED = 64
"""Voxels begin at a multiple of it."""
_DTYPES = {"float16": np.float16, "float32": np.float32, "uint8": np.uint8}


def write_volume_file(path: str | Path, volume: CroppedVolume) -> None:
    """Write a volume, atomically."""
    voxels = np.ascontiguousarray(volume.voxels.numpy())
    description = io.BytesIO()
    torch.save({**volume._asdict(), "voxels": (voxels.dtype.name, voxels.shape)}, description)
    size = description.tell()
    padding = bytes(-(_HEAD.size + size) % _ALIGNED)
    checksum = 0
    for part in (_HEAD.pack(0, size)[4:], description.getbuffer(), padding, voxels.reshape(-1).view(np.uint8)):
        checksum = isal_zlib.crc32(part, checksum)
    with replacing(path) as file:
        file.write(_HEAD.pack(checksum, size))
        file.write(description.getbuffer())
        file.write(padding)
        file.write(voxels.data)


def read_volume_file(path: str | Path) -> CroppedVolume | None:
    """The volume of a file that `write_volume_file` wrote; None where it is damaged or of another form.

    Raises:
        FileNotFoundError: there is none.
    """
    content = np.fromfile(path, dtype=np.uint8)
    if content.size < _HEAD.size:
        return None
    checksum, size = _HEAD.unpack(content[: _HEAD.size].tobytes())
    if isal_zlib.crc32(content[4:]) != checksum:
        return None
    start = _HEAD.size + size
    described = torch.load(io.BytesIO(content[_HEAD.size : start].tobytes()), weights_only=True)
    dtype, shape = described["voxels"]
    voxels = content[start + -start % _ALIGNED :].view(_DTYPES[dtype]).reshape(shape)
    return CroppedVolume.from_plain({**described, "voxels": torch.from_numpy(voxels)})
