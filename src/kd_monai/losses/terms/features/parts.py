"""The exclusive parts of a label on a layer's grid: background, oedema, core without ET, ET."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from kd_monai.losses.terms.features.features import voxels

SMALLEST = 1e-6
"""Below the share that one voxel of the label has of any layer's voxel: divides the sum over an absent part, 0."""


def exclusive_parts(regions: Tensor, size: Sequence[int]) -> Tensor:
    """Share of each part in each voxel of a layer, ``B 4 h w d``: background, WT - TC, TC - ET, ET; they sum to 1.

    A layer's voxel covers several of the label's: it counts by area (their mean), for the nearest voxel would drop a
    small ET from the bottleneck by chance. At full resolution both are the mask itself.

    Args:
        regions: float ``B 3 H W D`` (TC, WT, ET).
        size: of the layer, ``h w d``.

    Example:
        >>> regions = torch.zeros(1, 3, 2, 2, 2)
        >>> regions[:, 1] = 1  # WT everywhere,
        >>> regions[:, 0, 0] = 1  # TC in one half: of it no ET
        >>> exclusive_parts(regions, (1, 1, 1)).flatten().tolist()
        [0.0, 0.5, 0.5, 0.0]
    """
    core, whole, enhancing = regions.float().unbind(1)
    core = torch.maximum(core, enhancing)
    whole = torch.maximum(whole, core)
    parts = torch.stack([1 - whole, whole - core, core - enhancing, enhancing], dim=1)
    return parts if parts.shape[2:] == torch.Size(size) else F.adaptive_avg_pool3d(parts, tuple(size))


def part_means(features: Tensor, parts: Tensor) -> tuple[Tensor, Tensor]:
    """Mean feature over each part, ``B 4 K``, 0 where a sample lacks it; and which parts each sample has, bool ``B 4``.

    Args:
        features: ``B K h w d``.
        parts: shares ``B 4 h w d`` of `exclusive_parts`.
    """
    volume = parts.sum((2, 3, 4))
    sums = torch.bmm(parts.flatten(2), voxels(features))
    return sums / volume.clamp_min(SMALLEST).unsqueeze(2), volume > 0
