"""Consistency of outputs, which counts for little while the student knows nothing."""

from __future__ import annotations

import math

from torch import Tensor

from kd_monai.errors import UserError
from kd_monai.losses.terms.base import OutputTerm
from kd_monai.outputs import Batch, Outputs


def ramp(progress: float, share: float = 0.07) -> float:
    """``exp(-5 (1 - u)^2)``, where ``u`` rises from 0 to 1 over the first `share` of the training.

    Example:
        >>> ramp(0.0) == math.exp(-5), ramp(0.07), ramp(1.0)
        (True, 1.0, 1.0)
    """
    u = min(1.0, progress / share)
    return math.exp(-5 * (1 - u) ** 2)


def consistency(teacher: Tensor, student: Tensor) -> Tensor:
    """``MSE(p_t, p_s)`` of each sample, over channels and voxels.

    Args:
        teacher, student: probabilities ``B C H W D``, float32.

    Returns:
        ``B``; 0 at equality.

    Example:
        >>> import torch
        >>> consistency(torch.zeros(1, 3, 2, 2, 2), torch.full((1, 3, 2, 2, 2), 0.5)).item()
        0.25
    """
    return (student - teacher.detach()).square().mean(tuple(range(1, student.ndim)))


class Consistency(OutputTerm):
    """``ramp(progress) * consistency(p_t, p_s)``.

    Args:
        ramp_share: of the training, until it counts in full.

    Raises:
        UserError: `ramp_share` is not in (0, 1].

    Source: ACN (ramp and share recalled), which sums one MSE per region and trains both paths; here the teacher is
    frozen and channels are averaged.
    """

    def __init__(self, ramp_share: float = 0.07) -> None:
        super().__init__()
        if not 0 < ramp_share <= 1:
            raise UserError(
                f"`ramp_share` of consistency is the share of the training over which its weight rises, in (0, 1]; got "
                f"{ramp_share}. Write 0.07 for the first 7 %."
            )
        self.ramp_share = ramp_share

    def compare(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        """One value per sample, ``B``."""
        return ramp(batch.progress, self.ramp_share) * consistency(teacher.probabilities(), student.probabilities())
