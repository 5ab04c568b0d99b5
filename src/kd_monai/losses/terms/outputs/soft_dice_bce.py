"""KD-Net's distillation of the outputs: soft Dice and binary cross-entropy between tempered probabilities."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from kd_monai.losses.terms.base import OutputTerm
from kd_monai.outputs import Batch, Outputs

TINY = 1e-7  # a probability of exactly 0 or 1 gives neither infinity nor NaN


def soft_dice_bce(teacher: Tensor, student: Tensor, smooth: float = 1e-5) -> Tensor:
    """``(1 - softDice(p_t, p_s)) + BCE(p_t, p_s)`` of each sample.

    ``softDice = (2 sum p_t p_s + e) / (sum p_t^2 + sum p_s^2 + e)`` over the voxels of a channel, averaged over the
    channels: with squares in the denominator it is 1 at equality for soft targets too. BCE is averaged over voxels and
    channels; its minimum is the entropy of the teacher, not 0.

    Args:
        teacher, student: probabilities ``B C H W D``, float32; only the student gets a gradient, of the first order.
        smooth: added to both sides of the ratio, so that a region absent from both gives Dice 1.

    Returns:
        ``B``.

    Source: KD-Net (Hu et al., MICCAI 2020), as quoted by its followers; no T^2, since it is no KL.

    Example:
        >>> p = torch.tensor([0.0, 1.0]).reshape(1, 1, 2, 1, 1)
        >>> round(soft_dice_bce(p, p).item(), 5)
        0.0
    """
    return _SoftDiceBCE.apply(teacher, student, smooth)


class _SoftDiceBCE(torch.autograd.Function):
    """Keeps one tensor for the backward pass, the gradient itself, where the formula's steps would keep eight."""

    @staticmethod
    def forward(ctx: FunctionCtx, teacher: Tensor, student: Tensor, smooth: float) -> Tensor:
        dims = tuple(range(2, teacher.ndim))
        numerator = 2 * (teacher * student).sum(dims, keepdim=True) + smooth
        denominator = teacher.square().sum(dims, keepdim=True) + student.square().sum(dims, keepdim=True) + smooth
        dice = (numerator / denominator).flatten(1).mean(1)
        # not torch's binary_cross_entropy, which stops on a NaN with a message that names nothing
        of_inside = student.clamp_min(TINY).log_().mul_(teacher).flatten(1).mean(1)
        of_outside = (1 - student).clamp_min_(TINY).log_().mul_(1 - teacher).flatten(1).mean(1)
        if ctx.needs_input_grad[1]:
            channels, voxels = student.shape[1], student[0].numel()
            gradient = (student - teacher).div_((1 - student).mul_(student).clamp_min_(TINY)).div_(voxels)
            gradient.addcmul_(teacher, -2 / (channels * denominator))
            gradient.addcmul_(student, 2 * numerator / (channels * denominator.square()))
            ctx.save_for_backward(gradient)
        return 1 - dice - of_inside - of_outside

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, upstream: Tensor) -> tuple[None, Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return None, gradient * upstream.reshape(-1, *[1] * (gradient.ndim - 1)), None


class SoftDiceBCE(OutputTerm):
    """`soft_dice_bce` of the two networks' tempered probabilities.

    Args:
        temperature: divides both logits; 5 in KD-Net (REFERENCES: recalled).
    """

    def __init__(self, temperature: float = 5.0) -> None:
        super().__init__()
        self.temperature = temperature

    def compare(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        """One value per sample, ``B``."""
        return soft_dice_bce(teacher.probabilities(self.temperature), student.probabilities(self.temperature))
