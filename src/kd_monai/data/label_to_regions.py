"""Region masks from the cached label, made at every visit: cached, they would take three times the memory."""

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.data import MetaTensor
from monai.transforms import CastToTyped, Transform

_BITS = (1 | 4, 1 | 2 | 4, 4)
"""Canonical values 1, 2, 4 are bits: TC, WT and ET are those that share one with these."""


class LabelToRegions(Transform):
    """Replaces ``label`` (1, ...) uint8 with values 0, 1, 2, 4 by float32 masks (3, ...) of TC, WT, ET.

    MONAI's ConvertToMultiChannelBasedOnBratsClasses gives the same as bool, on which its losses with squares stop.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        label = data["label"]
        voxels = label.as_tensor() if isinstance(label, MetaTensor) else label
        masks = torch.empty((len(_BITS), *voxels.shape[1:]), dtype=torch.float32, device=voxels.device)
        bits = torch.tensor(_BITS, dtype=voxels.dtype, device=voxels.device).reshape(-1, *[1] * (voxels.ndim - 1))
        torch.ne(voxels[:1] & bits, 0, out=masks)  # bools that are copied into floats take twice as long or more
        if isinstance(label, MetaTensor):
            masks = MetaTensor(masks, meta=label.meta, applied_operations=list(label.applied_operations))
        return {**data, "label": masks}


def region_transforms(with_label: bool = True) -> list[Any]:
    """What validation does to a cached sample: float32 and, with a label, its regions; operations stay traced."""
    return [CastToTyped("image", dtype=torch.float32), *([LabelToRegions()] if with_label else [])]
