"""Generalised distillation: the student's own probabilities against the teacher's tempered ones."""

from __future__ import annotations

from torch import Tensor

from kd_monai.losses.terms.base import OutputTerm
from kd_monai.losses.terms.outputs.soft_dice_bce import soft_dice_bce
from kd_monai.outputs import Batch, Outputs


class Generalized(OutputTerm):
    """``L(p_t^T, p_s)``, of ``(1 - l) L(y, p_s) + l L(p_t^T, p_s)``: only the teacher is tempered.

    ``1 - l`` is the segmentation weight of the whole loss, ``l`` the weight of this term. L is `soft_dice_bce`, with
    BCE per channel whatever the head: the segmentation loss's own soft Dice, without squares, is best at hard
    predictions and not at equality with a soft target. The minimum, at ``p_s = p_t^T``, is the entropy of ``p_t^T``,
    not 0.

    Args:
        temperature: divides the teacher's logits.

    Source: Lopez-Paz et al. 2016 (arXiv:1511.03643), where L is a cross-entropy.
    """

    def __init__(self, temperature: float = 2.0) -> None:
        super().__init__()
        self.temperature = temperature

    def compare(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        """One value per sample, ``B``."""
        return soft_dice_bce(teacher.probabilities(self.temperature), student.probabilities())
