"""generalized against entropy, torch's BCE and what it says of temperature."""

from __future__ import annotations

import pytest
import torch
from output_samples import HEADS, logits, value
from scipy.stats import entropy
from torch.nn import functional as F

from kd_monai.losses.terms.outputs.generalized import Generalized

heads = pytest.mark.parametrize("head", HEADS, ids=lambda head: head.name)


def dice_part(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """One minus the soft Dice with squares, drawn out."""
    each = [
        [1 - 2 * (a * b).sum() / ((a * a).sum() + (b * b).sum()) for a, b in zip(*pair, strict=True)]
        for pair in zip(p, q, strict=True)
    ]
    return torch.tensor(each).mean(1)


@heads
def test_is_soft_dice_and_bce_of_the_students_own_probabilities_against_tempered_ones(head) -> None:
    teacher, student = logits(head, 0), logits(head, 1)
    q, p = head.probabilities(teacher, 2.0), head.probabilities(student)
    bce = F.binary_cross_entropy(p, q, reduction="none").flatten(1).mean(1)
    torch.testing.assert_close(value(Generalized(2.0), head, teacher, student), dice_part(q, p) + bce)


def test_minimum_is_where_the_student_equals_the_tempered_teacher_and_is_the_entropy_there() -> None:
    """Not 0, and not where the logits are equal: the teacher alone is tempered."""
    head = HEADS[0]
    teacher = logits(head, 0)
    at_equality = value(Generalized(2.0), head, teacher, teacher / 2)
    q = torch.sigmoid(teacher / 2)
    of_voxels = torch.from_numpy(entropy(torch.stack([q, 1 - q]).numpy(), axis=0)).flatten(1).mean(1)
    torch.testing.assert_close(at_equality, of_voxels, rtol=1e-4, atol=1e-5)
    assert (value(Generalized(2.0), head, teacher, teacher) > at_equality).all()


@heads
def test_never_below_its_value_at_equality(head) -> None:
    teacher = logits(head, 0)
    least = value(Generalized(2.0), head, teacher, teacher / 2)
    for seed in range(1, 6):
        assert (value(Generalized(2.0), head, teacher, logits(head, seed)) > least).all()
        near = teacher / 2 + 0.3 * logits(head, seed, 1.0)
        assert (value(Generalized(2.0), head, teacher, near) > least).all()


@heads
def test_the_gradient_is_zero_at_the_minimum(head) -> None:
    teacher = logits(head, 0)
    student = (teacher / 2).requires_grad_()
    value(Generalized(2.0), head, teacher, student).sum().backward()
    torch.testing.assert_close(student.grad, torch.zeros_like(student), atol=1e-6, rtol=0)
