"""Distillation where the teacher is right and knows the reference better than the student."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from kd_monai.losses.terms.base import OutputTerm
from kd_monai.losses.terms.outputs.divergence import divergence
from kd_monai.outputs import Batch, Outputs


@torch.no_grad()
def teacher_advantage(teacher: Tensor, student: Tensor, target: Tensor, head: str) -> Tensor:
    """``m = ReLU(CE_s - CE_t) [teacher correct]``, without gradient; CE against the reference, not tempered.

    The teacher is correct where it holds no other answer for more probable.

    Args:
        teacher, student: logits ``B C H W D``.
        target: reference in the head's channels, 0 or 1.
        head: `regions`, where each region of a voxel is a question of its own, or `labels`, where a voxel is one.

    Returns:
        ``B 3 H W D`` or ``B 1 H W D``.
    """
    if head == "labels":
        t = teacher.log_softmax(1)
        best = t.amax(1, keepdim=True)
        of_label = t.mul_(target).sum(1, keepdim=True)
        correct = of_label >= best
        return of_label.sub_(student.log_softmax(1).mul_(target).sum(1, keepdim=True)).clamp_min_(0).mul_(correct)
    wrong = 1 - 2 * target  # its product with a logit is the logit of the wrong answer, its softplus that CE
    against = wrong * student
    mask = F.softplus(against)
    torch.mul(wrong, teacher, out=against)
    return mask.sub_(F.softplus(against)).clamp_min_(0).mul_(against <= 0)


def masked_kd(teacher: Tensor, student: Tensor, target: Tensor, head: str, temperature: float = 10.0) -> Tensor:
    """``sum m KL(p_t^T || p_s^T) / sum m`` of each sample; 0 where ``sum m`` is 0.

    ``m`` is `teacher_advantage`. The published form has the cross-entropy in place of KL; as m and teacher are
    constants both have the same gradient, and this one goes to zero. Sums are over voxels, and over regions with that
    head.

    Args:
        teacher, student: logits ``B C H W D``, float32; only the student gets a gradient.
        target: reference in the head's channels, 0 or 1.
        head: name of the head that both are read with.
        temperature: T.

    Returns:
        ``B``; never below 0.

    Source: PMKL (Chen et al. 2021), the half of it that reads outputs; T recalled.

    Example:
        >>> y = torch.ones(1, 3, 2, 2, 2)
        >>> masked_kd(-y, -2 * y, y, "regions").item()  # a teacher that is wrong everywhere
        0.0
    """
    mask = teacher_advantage(teacher, student, target, head)
    total = mask.sum(tuple(range(1, mask.ndim)), keepdim=True)
    share = mask.div_(total.clamp_min_(torch.finfo(mask.dtype).tiny))
    return divergence(teacher, student, head, temperature, share)


class MaskedKD(OutputTerm):
    """`masked_kd` between the two networks' outputs.

    Args:
        temperature: divides both logits, in KL alone.
    """

    def __init__(self, temperature: float = 10.0) -> None:
        super().__init__()
        self.temperature = temperature

    def compare(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        """One value per sample, ``B``."""
        target = student.head.target(batch.label.float())
        return masked_kd(teacher.logits.float(), student.logits.float(), target, student.head.name, self.temperature)
