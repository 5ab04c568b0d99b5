"""From the cached label to what a loss reads: indices for the patch, and regions last of all."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.data import MetaTensor
from monai.transforms import CastToTyped, Compose, MapTransform, Transform
from torch import Tensor

from kd_monai.errors import UserError
from kd_monai.task import CANONICAL, REGIONS


class LabelError(UserError):
    """A label from which no regions can be made."""


def check_label(label: Tensor, image: Tensor | None = None) -> None:
    """Whether regions can be made of a label.

    Args:
        label: ``1 H W D`` of any numeric type.
        image: ``M H W D`` on the same grid.

    Raises:
        LabelError: another number of channels, another grid, or values between the whole numbers.
    """
    if label.ndim < 2 or label.shape[0] != 1:
        raise LabelError(f"a label has one channel: got the shape {tuple(label.shape)}")
    if image is not None and image.shape[1:] != label.shape[1:]:
        raise LabelError(
            f"label and image have one shape: got {tuple(label.shape[1:])} and {tuple(image.shape[1:])}. "
            "Name both in its `keys`"
        )
    if label.is_floating_point() and bool(((label - label.round()).abs() > 1e-3).any()):
        raise LabelError(
            "labels are whole numbers, and these were mixed or blurred. Leave the label out of its `keys`, or "
            "interpolate it with `mode: [bilinear, nearest]`"
        )


class LabelToRegions(Transform):
    """Replaces ``label`` (1, ...) with values 0, 1, 2, 4 of any numeric type by float32 masks (3, ...) of TC, WT, ET.

    The last of all transforms: cached, masks would take three times the memory; interpolated, they would be none.

    Raises:
        LabelError: see `check_label`.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        label = data["label"]
        voxels = label.as_tensor() if isinstance(label, MetaTensor) else torch.as_tensor(label)
        check_label(voxels, data.get("image"))
        whole = voxels[0].round().to(torch.uint8) if voxels.is_floating_point() else voxels[0]
        masks = torch.zeros((len(REGIONS), *whole.shape), dtype=torch.float32, device=whole.device)
        for value in CANONICAL.tumour:
            here = whole == value
            for mask, region in zip(masks, REGIONS, strict=True):
                if value in CANONICAL.regions[region]:
                    mask += here
        if isinstance(label, MetaTensor):
            masks = MetaTensor(masks, meta=label.meta, applied_operations=list(label.applied_operations))
        return {**data, "label": masks}


class Braind(MapTransform):
    """Adds ``brain``, a float mask ``1 H W D`` of the voxels that are not exactly 0 in any channel of an image."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        for key in self.key_iterator(item):
            item["brain"] = (item[key] != 0).any(0, keepdim=True).float()
        return item


def region_transforms(with_label: bool = True) -> list[Any]:
    """What validation does to a cached sample: float32 and, with a label, its regions."""
    return [CastToTyped("image", dtype=torch.float32), *([LabelToRegions()] if with_label else [])]


def name_the_culprit(compose: Compose, sample: Mapping[Hashable, Any], error: BaseException) -> None:
    """Apply transforms one by one, and name the one after which no regions can be made of the label.

    Args:
        compose: in the state in which it failed.
        sample: what it failed on.
        error: how it failed; what has another cause is left alone.

    Raises:
        UserError: names the transform.
    """
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, LabelError):
        cause = cause.__cause__
    if cause is None:
        return
    item: Any = dict(sample)
    for transform in compose.flatten().transforms:
        if isinstance(transform, LabelToRegions):
            break
        item = transform(item)
        try:
            for one in item if isinstance(item, list) else [item]:
                check_label(torch.as_tensor(one["label"]), one.get("image"))
        except LabelError as problem:
            raise UserError(f"{type(transform).__name__} in train#random_transforms: {problem}.") from error
        item = item[0] if isinstance(item, list) and len(item) == 1 else item
    raise UserError(f"train#random_transforms: {cause}.") from error
