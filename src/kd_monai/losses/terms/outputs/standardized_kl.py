"""Distillation of standardised logits: which class the teacher prefers by how much, whatever the size of its logits."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from kd_monai.losses.terms.base import OutputTerm
from kd_monai.losses.terms.outputs.divergence import divergence
from kd_monai.outputs import Batch, Outputs


def across_classes(logits: Tensor, smooth: float = 1e-5) -> Tensor:
    """``(z - mean z) / sqrt(var z + e)`` of each voxel, over its classes: dimension 1, not the depth of the image.

    Args:
        logits: ``B C H W D``, float32.
        smooth: added to the variance, so that a voxel with equal logits has a finite gradient.
    """
    return _AcrossClasses.apply(logits, smooth)


class _AcrossClasses(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, logits: Tensor, smooth: float) -> Tensor:
        standard = logits - logits.mean(1, keepdim=True)
        scale = standard.square().mean(1, keepdim=True).add_(smooth).rsqrt_()
        standard.mul_(scale)
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(standard, scale)
        return standard

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, upstream: Tensor) -> tuple[Tensor, None]:
        standard, scale = ctx.saved_tensors
        along = (upstream * standard).mean(1, keepdim=True)
        gradient = upstream - upstream.mean(1, keepdim=True)
        return gradient.addcmul_(standard, along, value=-1).mul_(scale), None


def standardized_kl(teacher: Tensor, student: Tensor, temperature: float = 2.0) -> Tensor:
    """``T^2 KL(softmax(z'_t / T) || softmax(z'_s / T))`` of each sample, ``z'`` the logits standardised across classes.

    The classes must exclude each other; the mean is over the voxels. A multiple of the teacher's logits, or a constant
    beside them, costs nothing.

    Args:
        teacher, student: logits ``B C H W D``, float32; only the student gets a gradient.
        temperature: T, of the standardised logits.

    Returns:
        ``B``; 0 at equality, never below.

    Source: Sun et al. 2024, Logit Standardization in Knowledge Distillation (arXiv:2403.01427).

    Example:
        >>> z = torch.randn(1, 4, 2, 2, 2)
        >>> bool(standardized_kl(10 * z, 10 * z + 3.0) < 1e-5)
        True
    """
    return temperature**2 * divergence(across_classes(teacher.detach()), across_classes(student), "labels", temperature)


class StandardizedKL(OutputTerm):
    """`standardized_kl` between the two networks' outputs; for the `labels` head alone.

    Args:
        temperature: divides both standardised logits.
    """

    needs_head = "labels"

    def __init__(self, temperature: float = 2.0) -> None:
        super().__init__()
        self.temperature = temperature

    def compare(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        """One value per sample, ``B``."""
        return standardized_kl(teacher.logits.float(), student.logits.float(), self.temperature)
