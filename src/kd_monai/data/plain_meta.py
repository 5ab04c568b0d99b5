"""Metadata that can be cached, collated and inverted in another process."""

from collections.abc import Hashable, Mapping
from enum import Enum
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Transform
from monai.transforms.utils import reset_ops_id

KEPT = ("affine", "original_affine", "spatial_shape", "original_channel_dim", "filename_or_obj", "space")


def _plain(value: Any) -> Any:
    """Arrays as tensors, numpy numbers and MONAI's string enums as Python's, all through a nested structure."""
    if isinstance(value, Mapping):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_plain(item) for item in value)
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy())
    if isinstance(value, Enum):
        return value.value
    return value.item() if isinstance(value, np.generic) else value


class PlainMeta(Transform):
    """Keeps of each image's metadata what ``Invertd`` and ``SaveImage`` read, free of numpy and of instance ids.

    Cache files know neither numpy nor enums, and ``Invertd`` the ids of another process's transforms.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        for key, value in data.items():
            if isinstance(value, MetaTensor):
                meta = {name: _plain(value.meta[name]) for name in KEPT if name in value.meta}
                operations = _plain(reset_ops_id(list(value.applied_operations)))
                voxels = value.as_tensor().contiguous()
                item[key] = MetaTensor(voxels, meta=meta, applied_operations=operations)
        return item
