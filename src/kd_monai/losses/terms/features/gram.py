"""SMU-Net's style: channels of the student go together as the teacher's do, wherever in space."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from kd_monai.losses.terms.base import Alike, FeatureTerm
from kd_monai.losses.terms.features.features import voxels
from kd_monai.outputs import Batch


def gram_matrix(features: Tensor) -> Tensor:
    """``G = F F^T / V`` of each sample, ``B K K``, of features ``B K h w d`` with V voxels."""
    flat = voxels(features)
    return torch.bmm(flat.transpose(1, 2), flat) / flat.shape[1]


def gram(teacher: Tensor, student: Tensor) -> Tensor:
    """``mean (G_t - G_s)^2`` of each sample, over the K^2 entries of its own Gram matrices.

    Args:
        teacher, student: features ``B K h w d``, float32, of the same channels; sizes may differ.

    Returns:
        ``B``; 0 at equality and at every rearrangement of the voxels, never below.

    Source: SMU-Net (Azad et al. 2022), after the style loss of style transfer (Gatys et al. 2016).
    """
    return (gram_matrix(teacher) - gram_matrix(student)).square().flatten(1).mean(1)


class Gram(FeatureTerm):
    """`gram` between a layer of the teacher and a layer of the student; arguments as in `FeatureTerm`."""

    alike: ClassVar[Alike] = "channels"

    def compare(self, teacher: Tensor, student: Tensor, batch: Batch) -> Tensor:
        """One value per sample, ``B``."""
        return gram(teacher, student)
