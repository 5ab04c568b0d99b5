"""The Kullback-Leibler divergence between two networks' outputs, from their logits."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional as F


def divergence(
    teacher: Tensor, student: Tensor, head: str, temperature: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """``sum_v w_v KL(p_t^T || p_s^T)_v`` of each sample; the mean over its voxels unless `weight` is given.

    With the `regions` head a Bernoulli KL per voxel and region, ``q log(q / p) + (1 - q) log((1 - q) / (1 - p))``, is
    summed over the regions, which overlap and share no softmax. With the `labels` head it is the categorical
    ``sum_c q_c log(q_c / p_c)``. Logarithms come from logits (softplus, log_softmax): a saturated output gives
    neither infinity nor NaN.

    Args:
        teacher, student: logits ``B C H W D``, float32; only the student gets a gradient, of the first order.
        head: name of the head that both are read with.
        temperature: divides both.
        weight: ``B 3 H W D`` with the `regions` head, ``B 1 H W D`` with the `labels` head.

    Returns:
        ``B``; 0 at equality, never below.

    Example:
        >>> z = torch.randn(1, 3, 2, 2, 2)
        >>> divergence(z, z, "regions").item()
        0.0
    """
    return _Divergence.apply(teacher, student, head == "labels", temperature, weight)


class _Divergence(torch.autograd.Function):
    """Keeps one tensor for the backward pass, the gradient itself: ``w (p_s^T - p_t^T) / T``."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, teacher: Tensor, student: Tensor, exclusive: bool, temperature: float, weight: Tensor | None
    ) -> Tensor:
        t, s = teacher / temperature, student / temperature
        if exclusive:
            log_q, log_p = t.log_softmax(1), s.log_softmax(1)
            q = log_q.exp()
            value = log_q.sub_(log_p).mul_(q)
            difference = log_p.exp_().sub_(q)
        else:
            # q (t - s) + softplus(s) - softplus(t); new memory is what costs, so softplus(t) gives its own to q
            value, q = F.softplus(s), F.softplus(t)
            value.sub_(q)
            torch.sigmoid(t, out=q)
            value.addcmul_(q, t.sub_(s))
            difference = s.sigmoid_().sub_(q)
        share: Tensor | float = 1 / student[0, 0].numel() if weight is None else weight
        if ctx.needs_input_grad[1]:
            ctx.save_for_backward(difference.mul_(share).div_(temperature))
        # not flatten, which would copy a channels_last tensor
        return value.mul_(share).sum(tuple(range(1, value.ndim)))

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, upstream: Tensor) -> tuple[None, Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return None, gradient * upstream.reshape(-1, *[1] * (gradient.ndim - 1)), None, None, None
