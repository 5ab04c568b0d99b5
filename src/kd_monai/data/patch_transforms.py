"""What happens to a cached sample at every visit: the random part of training, and the plain part of validation."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.transforms import (
    CastToTyped,
    EnsureTyped,
    RandFlipd,
    RandScaleIntensityd,
    RandShiftIntensityd,
    RandSpatialCropd,
    SpatialPadd,
    Transform,
)

from kd_monai.brats import CANONICAL


class LabelToRegions(Transform):
    """Replaces ``label`` (1, ...) with values 0, 1, 2, 4 by float32 masks (3, ...) of TC, WT, ET."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        label = item["label"]
        masks = []
        for values in CANONICAL.regions.values():
            mask = label == values[0]
            for value in values[1:]:
                mask = mask | (label == value)
            masks.append(mask)
        item["label"] = torch.cat(masks).to(torch.float32)
        return item


def patch_transforms(
    roi_size: Sequence[int],
    flip_probability: float = 0.5,
    scale_intensity: float = 0.1,
    shift_intensity: float = 0.1,
    intensity_probability: float = 1.0,
) -> list[Any]:
    """Random training transforms: ``image`` float32 (M, h, w, d), ``label`` float32 (3, h, w, d), plain tensors.

    Pad to ``roi_size`` where the brain is smaller, random patch, flips of each axis, one factor in 1 +- scale and one
    offset in +- shift per modality, which leave the zero background of the crop alone only when the shift is 0.
    """
    keys = ["image", "label"]
    transforms: list[Any] = [
        # the first transform that changes voxels copies them: the cache stays as it is
        SpatialPadd(keys, spatial_size=roi_size),
        RandSpatialCropd(keys, roi_size=roi_size, random_size=False),
        EnsureTyped(keys, dtype=[torch.float32, torch.uint8], track_meta=False),
        *(RandFlipd(keys, prob=flip_probability, spatial_axis=axis) for axis in range(3)),
        RandScaleIntensityd("image", factors=scale_intensity, prob=intensity_probability, channel_wise=True),
        RandShiftIntensityd("image", offsets=shift_intensity, prob=intensity_probability, channel_wise=True),
        LabelToRegions(),
    ]
    return transforms


def region_transforms(with_label: bool = True) -> list[Any]:
    """Validation transforms: the whole volume as float32 and, with a label, its regions; operations stay traced."""
    return [CastToTyped("image", dtype=torch.float32), *([LabelToRegions()] if with_label else [])]
