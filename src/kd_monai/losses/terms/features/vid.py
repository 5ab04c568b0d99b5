"""Variational information distillation: the student's features predict the teacher's, with a variance each."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kd_monai.losses.terms.base import FeatureTerm
from kd_monai.outputs import Batch, Outputs

SMALLEST_VARIANCE = 1e-5


def vid(teacher: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """``mean 0.5 ((mu - f_t)^2 / s2 + log s2)`` of each sample, over channels and voxels.

    A Gaussian's negative log-likelihood without its constant ``0.5 log(2 pi)``: negative where s2 is small enough. For
    a given s2 the minimum is at ``mu = f_t`` and is ``0.5 mean log s2``; for a given error it is at the s2 that equals
    each channel's mean squared error.

    Args:
        teacher: features ``B K h w d``, float32.
        mean: mu, what the student predicts of them, of the same shape.
        variance: s2 of each channel, ``K``, positive.

    Returns:
        ``B``.

    Source: VID (Ahn et al., CVPR 2019), used by ACN (Wang et al., MICCAI 2021).
    """
    per_channel = (mean - teacher).square().flatten(2).mean(2)
    return 0.5 * (per_channel / variance + variance.log()).mean(1)


class VID(FeatureTerm):
    """`vid` with a learned 1 x 1 x 1 convolution ``mu`` of the student and a learned variance of each channel.

    ``s2 = softplus(r) + 1e-5``, so that the value never falls below ``0.5 log 1e-5``, about -5.8. Both are trained with
    the student and left behind. The authors' mu is three such convolutions with ReLUs between.

    Args:
        teacher_layer, student_layer: see `FeatureTerm`.
        initial_variance: s2 before the first step; 5 in the authors' code.
    """

    def __init__(self, teacher_layer: str, student_layer: str, initial_variance: float = 5.0) -> None:
        super().__init__(teacher_layer, student_layer, adapter=True)
        self.initial_variance = initial_variance

    def build(self, student: Outputs, teacher: Outputs) -> None:
        """Make mu and the variances, for the channels of these outputs."""
        super().build(student, teacher)
        raw = math.log(math.expm1(self.initial_variance - SMALLEST_VARIANCE))  # the inverse of softplus
        self.raw_variance = nn.Parameter(torch.full((teacher.feature(self.teacher_layer).shape[1],), raw))

    @property
    def variance(self) -> Tensor:
        """s2 of each of the teacher's channels, ``K``."""
        return F.softplus(self.raw_variance) + SMALLEST_VARIANCE

    def compare(self, teacher: Tensor, student: Tensor, batch: Batch) -> Tensor:
        """One value per sample, ``B``."""
        return vid(teacher, student, self.variance)
