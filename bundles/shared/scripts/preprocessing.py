"""Transforms of images that MONAI lacks: a check, and what belongs around resampling."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.data import MetaTensor
from monai.transforms import MapTransform
from torch import Tensor
from torch.nn.functional import hardshrink

ROUNDING = 1e-4
"""Share of a channel's largest absolute value below which a resampled voxel counts as 0: the weight that interpolation
in float32 gives to a neighbour by rounding stays below 1e-5."""


class CheckImaged(MapTransform):
    """Refuse images that the network cannot read.

    Args:
        keys: of images ``C H W D`` with metadata.
        modalities: what the channels must be.
        brain_litres: least and largest volume that the non-zero voxels of a skull-stripped image may fill.
        check_skull_stripped: whether that volume is looked at.

    Raises:
        ValueError: another number of channels, a voxel that is not finite, an image of zeros or one with its skull.
    """

    def __init__(
        self,
        keys: str | Sequence[str],
        modalities: Sequence[str],
        brain_litres: tuple[float, float] = (0.3, 2.5),
        check_skull_stripped: bool = True,
    ) -> None:
        super().__init__(keys)
        self.modalities = list(modalities)
        self.brain_litres = tuple(brain_litres)
        self.check_skull_stripped = check_skull_stripped

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        for key in self.key_iterator(dict(data)):
            self.check(data[key])
        return dict(data)

    def check(self, image: MetaTensor) -> None:
        """See the class."""
        name, voxels = image.meta.get("filename_or_obj", "the image"), image.as_tensor()
        if len(voxels) != len(self.modalities):
            raise ValueError(
                f"This network reads {len(self.modalities)} channel(s), {', '.join(self.modalities)}, one file each or "
                f"one 4-D file: {name} has {len(voxels)}."
            )
        if not all(bool(bound.isfinite()) for bound in torch.aminmax(voxels)):
            raise ValueError(f"Voxels must be finite: {name} has NaN or infinite ones. Mend the file.")
        voxel_litres = float(image.affine[:3, :3].det().abs()) / 1e6
        litres = [int(channel.count_nonzero()) * voxel_litres for channel in voxels]
        if min(litres) == 0:
            raise ValueError(f"An image may not be all zero: {name} is. Export it again.")
        least, most = self.brain_litres
        if self.check_skull_stripped and not least <= min(litres) <= max(litres) <= most:
            raise ValueError(
                f"The image must be skull-stripped: non-zero voxels of a brain fill {least} to {most} litres, those "
                f"of {name} {max(litres):.2f}. Strip the skull first (SynthStrip, HD-BET), or add "
                "--check_skull_stripped False if that is done."
            )


def low_pass(image: Tensor, sigmas: Sequence[float]) -> Tensor:
    """Gaussian mean of the non-zero voxels of each channel; zeros stay zeros, so that no brain fades into the air.

    Args:
        image: float ``C H W D``.
        sigmas: in voxels, of the three axes; 0 leaves an axis alone.
    """
    inside = (image != 0).to(image.dtype)
    total, weight = image, inside
    for axis, sigma in enumerate(sigmas, 1):
        if sigma > 0:
            position = torch.arange(image.shape[axis], dtype=image.dtype)
            kernel = torch.exp(-0.5 * ((position[:, None] - position) / sigma) ** 2)
            total, weight = (torch.tensordot(part, kernel, ([axis], [0])).movedim(-1, axis) for part in (total, weight))
    return torch.where(inside > 0, total / weight, 0.0)


class LowPassd(MapTransform):
    """Blur images along the axes on which resampling to ``spacing_mm`` makes them coarser.

    From ``s`` to ``r s`` mm sigma is ``sqrt((r^2 - 1) / (8 ln 2))`` voxels: what turns a point spread of one voxel's
    width into one of the new voxel's (Cardoso et al., MICCAI 2015). Without it, 1 mm reaches 2 mm by dropping every
    second voxel, and noise stays at full strength.

    Args:
        keys: of images ``C H W D`` with metadata.
        spacing_mm: of the three axes after the resampling that follows; None: nothing is resampled.
    """

    def __init__(
        self, keys: str | Sequence[str], spacing_mm: float | Sequence[float] | None, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.spacing_mm = [float(spacing_mm)] * 3 if isinstance(spacing_mm, int | float) else spacing_mm

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        for key in self.key_iterator(item) if self.spacing_mm is not None else ():
            sigmas = self.sigmas(item[key].pixdim.tolist())
            if any(sigmas):
                filtered = low_pass(item[key].as_tensor().float(), sigmas)
                item[key] = MetaTensor(filtered, meta=item[key].meta, applied_operations=item[key].applied_operations)
        return item

    def sigmas(self, pixdim: Sequence[float]) -> list[float]:
        """In voxels of an image whose voxels have these sides in mm."""
        ratios = [new / old for new, old in zip(self.spacing_mm or pixdim, pixdim, strict=True)]
        return [math.sqrt((ratio**2 - 1) / (8 * math.log(2))) if ratio > 1 + 1e-3 else 0.0 for ratio in ratios]


class WithoutRoundingd(MapTransform):
    """Set resampled voxels to 0 again where only rounding put something beside the brain.

    They would be normalised to a black rim.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        for key in self.key_iterator(item):
            image: MetaTensor = item[key]
            limits = [ROUNDING * max(map(abs, map(float, channel.aminmax()))) for channel in image.as_tensor()]
            pairs = zip(image.as_tensor(), limits, strict=True)
            cleared = torch.stack([hardshrink(channel, limit) for channel, limit in pairs])
            item[key] = MetaTensor(cleared, meta=image.meta, applied_operations=image.applied_operations)
        return item
