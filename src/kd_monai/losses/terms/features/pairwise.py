"""Structured distillation: places that look alike to the teacher look alike to the student."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from kd_monai.errors import UserError
from kd_monai.losses.terms.base import Alike, FeatureTerm
from kd_monai.losses.terms.features.features import unit
from kd_monai.outputs import Batch

SMALLEST_SCALE = 0.1
"""10^3 nodes: their affinities are 4 MB a sample and network in float32."""


def affinity(features: Tensor, nodes: list[int]) -> Tensor:
    """Cosine similarity of every two nodes, ``B N N``, of features ``B K h w d`` max-pooled to N = n1 n2 n3 nodes."""
    pooled = unit(F.adaptive_max_pool3d(features, nodes).flatten(2), 1)
    return torch.bmm(pooled.transpose(1, 2), pooled)


def pairwise(teacher: Tensor, student: Tensor, scale: float = 0.5) -> Tensor:
    """``mean (a_t - a_s)^2`` of each sample, over the N^2 entries of its cosine affinity matrices.

    Features are max-pooled first, in windows of `scale` times the layer's sides: at 0.5 two nodes a side, N = 8,
    whatever the layer's resolution. There are ``ceil(1 / scale)`` nodes a side, or as many as the smaller of the two
    layers has voxels, so that layers of different sizes have the same nodes.

    Args:
        teacher, student: features ``B K h w d``, float32; channels and sizes may differ.
        scale: side of the pooling window as a share of the layer's; the matrix has ``1 / scale^6`` entries.

    Returns:
        ``B``, between 0 and 4; 0 at equality and where nodes are scaled or all channels rotated alike, never below.

    Source: structured knowledge distillation (Liu et al., CVPR 2019), pair-wise distillation as in the authors' code.
    """
    most = math.ceil(1 / scale)
    nodes = [min(most, *sides) for sides in zip(teacher.shape[2:], student.shape[2:], strict=True)]
    return (affinity(teacher, nodes) - affinity(student, nodes)).square().flatten(1).mean(1)


class Pairwise(FeatureTerm):
    """`pairwise` between a layer of the teacher and a layer of the student.

    Args:
        teacher_layer, student_layer: see `FeatureTerm`.
        scale: side of the pooling window as a share of the layer's.

    Raises:
        UserError: `scale` is not in [0.1, 1].
    """

    alike: ClassVar[Alike] = "nothing"

    def __init__(self, teacher_layer: str, student_layer: str, scale: float = 0.5) -> None:
        super().__init__(teacher_layer, student_layer)
        if not SMALLEST_SCALE <= scale <= 1:
            raise UserError(
                f"`scale` of pairwise is the pooling window's share of a side, in [{SMALLEST_SCALE}, 1]; got {scale}. "
                "Smaller windows make affinity matrices of more than 1000 x 1000."
            )
        self.scale = scale

    def compare(self, teacher: Tensor, student: Tensor, batch: Batch) -> Tensor:
        """One value per sample, ``B``."""
        return pairwise(teacher, student, self.scale)
