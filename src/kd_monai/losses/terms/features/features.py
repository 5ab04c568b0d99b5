"""What formulas on features share: resampling, a list of voxels, and unit length."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

FLOOR = 1e-3
"""A length below it counts as this one: features that are all zero have no direction, and pull with a finite force."""


def resample(features: Tensor, size: Sequence[int]) -> Tensor:
    """Features ``B K h w d`` at another size, trilinear; themselves where the size is theirs."""
    if features.shape[2:] == torch.Size(size):
        return features
    return F.interpolate(features, size=tuple(size), mode="trilinear", align_corners=False)


def voxels(features: Tensor) -> Tensor:
    """Features ``B K h w d`` as ``B V K``: a view, in contiguous and in channels_last format."""
    return features.movedim(1, -1).flatten(1, 3)


def unit(features: Tensor, dim: int) -> Tensor:
    """``f / max(|f|, FLOOR)`` along a dimension; zero stays zero."""
    return F.normalize(features, dim=dim, eps=FLOOR)
