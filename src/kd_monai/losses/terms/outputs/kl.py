"""Hinton's distillation: the Kullback-Leibler divergence between tempered outputs."""

from __future__ import annotations

from torch import Tensor

from kd_monai.losses.terms.base import OutputTerm
from kd_monai.losses.terms.outputs.divergence import divergence
from kd_monai.outputs import Batch, Outputs


def kl(teacher: Tensor, student: Tensor, head: str, temperature: float = 4.0) -> Tensor:
    """``T^2 KL(p_t^T || p_s^T)`` of each sample, averaged over its voxels; `divergence` says what KL is of each head.

    ``T^2`` keeps the size of the gradient, which falls with ``1 / T^2``.

    Args:
        teacher, student: logits ``B C H W D``, float32; only the student gets a gradient.
        head: name of the head that both are read with.
        temperature: T.

    Returns:
        ``B``; 0 at equality, never below.

    Source: Hinton et al. 2015 (arXiv:1503.02531).

    Example:
        >>> import torch
        >>> z = torch.randn(1, 4, 2, 2, 2)
        >>> bool(kl(z, z + 7.0, "labels") < 1e-5)  # a softmax ignores a constant
        True
    """
    return temperature**2 * divergence(teacher, student, head, temperature)


class KL(OutputTerm):
    """`kl` between the two networks' outputs.

    Args:
        temperature: divides both logits.
    """

    def __init__(self, temperature: float = 4.0) -> None:
        super().__init__()
        self.temperature = temperature

    def compare(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        """One value per sample, ``B``."""
        return kl(teacher.logits.float(), student.logits.float(), student.head.name, self.temperature)
