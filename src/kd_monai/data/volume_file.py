"""A cached volume as a file: a checksum, all but the voxels as JSON, and the voxels as they lie in memory.

torch.load copies voxels twice, and takes ten times as long as json for the few numbers around them.
"""

from __future__ import annotations

import json
import logging
import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch
from isal import isal_zlib

from kd_monai.atomic import replacing
from kd_monai.data.cropped_volume import CroppedVolume

logger = logging.getLogger(__name__)

FORM = 4
"""Raise it when the file, or what a volume holds, changes its form."""
_HEAD = struct.Struct(">II")
"""CRC-32 of all that follows it, and the bytes of the JSON."""
_ALIGNED = 64
"""Voxels begin at a multiple of it."""


def _plain(value: Any) -> Any:
    """What JSON knows, with tensors and tuples marked."""
    if isinstance(value, torch.Tensor):
        return {"__tensor__": value.tolist(), "dtype": str(value.dtype).removeprefix("torch.")}
    if isinstance(value, tuple):
        return {"__tuple__": [_plain(part) for part in value]}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return value


def _as_it_was(found: dict[str, Any]) -> Any:
    if "__tensor__" in found:
        return torch.tensor(found["__tensor__"], dtype=getattr(torch, found["dtype"]))
    return tuple(found["__tuple__"]) if "__tuple__" in found else found


def write_volume_file(path: str | Path, volume: CroppedVolume) -> None:
    """Write a volume, atomically."""
    voxels = np.ascontiguousarray(volume.voxels.numpy())
    described = {**volume._asdict(), "voxels": (voxels.dtype.name, voxels.shape), "form": FORM}
    description = json.dumps(_plain(described)).encode()
    padding = bytes(-(_HEAD.size + len(description)) % _ALIGNED)
    raw = voxels.reshape(-1).view(np.uint8).data
    body: list[bytes | memoryview] = [_HEAD.pack(0, len(description))[4:], description, padding, raw]
    checksum = 0
    for part in body:
        checksum = isal_zlib.crc32(part, checksum)
    with replacing(path) as file:
        file.write(checksum.to_bytes(4, "big"))
        file.writelines(body)


def read_volume_file(path: str | Path) -> CroppedVolume | None:
    """The volume of a file that `write_volume_file` wrote; None where there is none, or a damaged one, with a warning.

    Its voxels are the file's own pages, and hold a file descriptor: copy what is kept. Meanwhile this machine may
    replace the file, but not write into it.
    """
    try:
        volume = _mapped(path) if Path(path).stat().st_size >= _HEAD.size else None
    except FileNotFoundError:
        return None
    if volume is None:
        logger.warning("%s is damaged; it is made again", path)
    return volume


def _mapped(path: str | Path) -> CroppedVolume | None:
    # "c": who changes the voxels does not change the file
    content = np.asarray(np.memmap(path, dtype=np.uint8, mode="c"))
    checksum, size = _HEAD.unpack(content[: _HEAD.size].tobytes())
    if isal_zlib.crc32(content[4:]) != checksum:
        return None
    start = _HEAD.size + size
    described = json.loads(content[_HEAD.size : start].tobytes(), object_hook=_as_it_was)
    if described.pop("form", None) != FORM:
        return None
    dtype, shape = described["voxels"]
    voxels = content[start + -start % _ALIGNED :].view(dtype).reshape(shape)
    return CroppedVolume.from_plain({**described, "voxels": torch.from_numpy(voxels)})
