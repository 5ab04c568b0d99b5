"""Distillation of boundaries: how probabilities change from a voxel to its neighbours."""

from __future__ import annotations

from itertools import product
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from kd_monai.errors import UserError
from kd_monai.losses.terms.base import OutputTerm
from kd_monai.outputs import Batch, Outputs

Neighbours = Literal[6, 26]
Views = tuple[slice, ...]


def pairs_of(sides: torch.Size, neighbours: Neighbours) -> list[tuple[Views, Views]]:
    """(voxels, their neighbours) in each direction, as slices of ``B C H W D``; a pair of voxels appears once."""
    # half of the neighbours: the others are the same pairs seen from the other end
    half = [step for step in product((-1, 0, 1), repeat=3) if step > (0, 0, 0)]
    steps = [step for step in half if neighbours == 26 or sum(map(abs, step)) == 1]
    whole = (slice(None), slice(None))
    return [
        (
            whole + tuple(slice(max(-k, 0), n - max(k, 0)) for k, n in zip(step, sides, strict=True)),
            whole + tuple(slice(max(k, 0), n + min(k, 0)) for k, n in zip(step, sides, strict=True)),
        )
        for step in steps
    ]


def boundary_first_order(teacher: Tensor, student: Tensor, neighbours: Neighbours = 6) -> Tensor:
    """``mean (D p_t - D p_s)^2`` of each sample, ``D p`` the differences between a voxel and its neighbours.

    The mean is over channels and all pairs of neighbours, signed differences; a constant added to either map costs
    nothing.

    Args:
        teacher, student: probabilities ``B C H W D``, float32; only the student gets a gradient, of the first order.
        neighbours: 6 share a face with a voxel, 26 at least a corner.

    Returns:
        ``B``; 0 at equality.

    Source: Xie et al. 2018 (arXiv:1810.08476), first-order knowledge (form recalled; theirs is of images).

    Example:
        >>> step = torch.tensor([0.0, 0.0, 1.0]).reshape(1, 1, 3, 1, 1)
        >>> boundary_first_order(step, torch.zeros_like(step)).item()  # one of two pairs differs
        0.5
    """
    return _BoundaryFirstOrder.apply(teacher, student, neighbours)


class _BoundaryFirstOrder(torch.autograd.Function):
    """Keeps one tensor for the backward pass, the gradient itself, where each direction would keep its differences."""

    @staticmethod
    def forward(ctx: FunctionCtx, teacher: Tensor, student: Tensor, neighbours: Neighbours) -> Tensor:
        error = student - teacher
        gradient = torch.zeros_like(error)
        total, pairs = error.new_zeros(len(error)), 0
        for here, there in pairs_of(error.shape[2:], neighbours):
            difference = error[there] - error[here]
            gradient[there] += difference
            gradient[here] -= difference
            pairs += difference[0].numel()
            total += difference.square_().sum((1, 2, 3, 4))
        pairs = max(pairs, 1)
        if ctx.needs_input_grad[1]:
            ctx.save_for_backward(gradient.mul_(2 / pairs))
        return total / pairs

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, upstream: Tensor) -> tuple[None, Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return None, gradient * upstream.reshape(-1, 1, 1, 1, 1), None


class BoundaryFirstOrder(OutputTerm):
    """`boundary_first_order` of the two networks' probabilities.

    Args:
        neighbours: 6 or 26.

    Raises:
        UserError: another number of neighbours.
    """

    def __init__(self, neighbours: Neighbours = 6) -> None:
        super().__init__()
        if neighbours not in get_args(Neighbours):
            raise UserError(
                f"`neighbours` of boundary_first_order must be 6 or 26; got {neighbours!r}. Take 6, which costs least."
            )
        self.neighbours = neighbours

    def compare(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        """One value per sample, ``B``."""
        return boundary_first_order(teacher.probabilities(), student.probabilities(), self.neighbours)
