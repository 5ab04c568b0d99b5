"""masked_kd against a loop over voxels, and where its mask is empty."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from output_samples import HEADS, kept_for_the_backward_pass, logits, regions, value
from scipy.special import expit, log_softmax, rel_entr, softmax

from kd_monai.losses.terms.outputs.masked_kd import MaskedKD, masked_kd, teacher_advantage

heads = pytest.mark.parametrize("head", HEADS, ids=lambda head: head.name)


def by_hand(head, teacher: np.ndarray, student: np.ndarray, target: np.ndarray, temperature: float) -> float:
    """One sample, voxel by voxel and with the `regions` head region by region: mask, divergence, their ratio."""
    weights, divergences = [], []
    for voxel in np.ndindex(*teacher.shape[1:]):
        t, s, y = (x[(slice(None), *voxel)] for x in (teacher, student, target))
        if head.name == "labels":
            label = int(y.argmax())
            advantage = log_softmax(t)[label] - log_softmax(s)[label]
            weights.append(max(advantage, 0) * (t.argmax() == label))
            divergences.append(rel_entr(softmax(t / temperature), softmax(s / temperature)).sum())
            continue
        for a, b, present in zip(t, s, y, strict=True):
            sign = 1 if present else -1
            advantage = np.log(expit(sign * a)) - np.log(expit(sign * b))
            weights.append(max(advantage, 0) * ((a > 0) == bool(present)))
            q, p = expit(a / temperature), expit(b / temperature)
            divergences.append(rel_entr(q, p) + rel_entr(1 - q, 1 - p))
    return float(np.dot(weights, divergences) / np.sum(weights))


@pytest.mark.parametrize("temperature", [1.0, 10.0])
@heads
def test_agrees_with_a_loop_over_voxels(head, temperature: float) -> None:
    teacher, student = logits(head, 0), logits(head, 1)
    got = value(MaskedKD(temperature), head, teacher, student)
    target = head.target(regions())
    for sample in range(2):
        arrays = (x[sample].double().numpy() for x in (teacher, student, target))
        assert got[sample].item() == pytest.approx(by_hand(head, *arrays, temperature), rel=1e-4)


@heads
def test_zero_at_equality_and_never_negative(head) -> None:
    teacher = logits(head, 0)
    assert torch.equal(value(MaskedKD(), head, teacher, teacher), torch.zeros(2))
    for seed in range(1, 6):
        assert (value(MaskedKD(), head, teacher, logits(head, seed)) > 0).all()


def right(head, label: torch.Tensor, size: float) -> torch.Tensor:
    """Logits of a network that is right about every voxel, the surer the larger."""
    return size * (2 * head.target(label) - 1)


@heads
@pytest.mark.parametrize("case", ["the teacher is wrong everywhere", "the student is surer and right everywhere"])
def test_zero_with_zero_gradient_where_the_mask_is_empty(head, case: str) -> None:
    teacher = right(head, regions(), -2.0 if "wrong" in case else 2.0)
    student = right(head, regions(), -4.0 if "wrong" in case else 4.0).requires_grad_()
    got = value(MaskedKD(), head, teacher, student)
    got.sum().backward()
    assert torch.equal(got, torch.zeros(2))
    assert torch.equal(student.grad, torch.zeros_like(student))


@heads
def test_an_empty_mask_of_one_sample_leaves_the_other_alone(head) -> None:
    teacher, student = right(head, regions(), 2.0), logits(head, 1)
    teacher[0] = -teacher[0]
    got = value(MaskedKD(), head, teacher, student)
    assert got[0] == 0
    assert got[1] > 0


@heads
def test_gradient_is_that_of_a_constant_mask(head) -> None:
    """Of the divergence alone, also where a change of the student would change the mask."""
    teacher, student = logits(head, 0), logits(head, 1).requires_grad_()
    target = head.target(regions())
    masked_kd(teacher, student, target, head.name, 2.0).sum().backward()
    mask = teacher_advantage(teacher, student, target, head.name)
    assert not mask.requires_grad
    gap = (head.probabilities(student.detach(), 2.0) - head.probabilities(teacher, 2.0)) / 2
    torch.testing.assert_close(student.grad, gap * mask / mask.sum((1, 2, 3, 4), keepdim=True), rtol=1e-4, atol=1e-7)


@heads
def test_gradient_is_that_of_the_published_cross_entropy(head) -> None:
    """KL in its place differs by the teacher's entropy, a constant."""
    teacher, target = logits(head, 0), head.target(regions())
    gradients = []
    for published in (False, True):
        student = logits(head, 1).requires_grad_()
        if published:
            q, p = head.probabilities(teacher, 10.0), head.probabilities(student, 10.0)
            entropy = -q * p.log() if head.name == "labels" else -q * p.log() - (1 - q) * (1 - p).log()
            mask = teacher_advantage(teacher, student, target, head.name)
            got = (mask * entropy).sum((1, 2, 3, 4)) / mask.sum((1, 2, 3, 4))
        else:
            got = masked_kd(teacher, student, target, head.name, 10.0)
        got.sum().backward()
        gradients.append(student.grad)
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-8)


@heads
def test_one_tensor_is_kept_for_the_backward_pass(head) -> None:
    assert kept_for_the_backward_pass(MaskedKD(), head) == [tuple(logits(head, 0).shape)]
