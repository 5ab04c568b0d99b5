"""kl against scipy and ignite, and the mistakes that published code makes with it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ignite.metrics import KLDivergence
from output_samples import HEADS, kept_for_the_backward_pass, logits, value
from scipy.special import expit, rel_entr, softmax

from kd_monai.losses.terms.outputs.kl import KL, kl

heads = pytest.mark.parametrize("head", HEADS, ids=lambda head: head.name)


def expected(head, teacher: torch.Tensor, student: torch.Tensor, temperature: float) -> list[float]:
    """By scipy, in float64: per voxel summed over regions or classes, then averaged over voxels."""
    t, s = (z.double().numpy() / temperature for z in (teacher, student))
    if head.name == "labels":
        each = rel_entr(softmax(t, 1), softmax(s, 1))
    else:
        each = rel_entr(expit(t), expit(s)) + rel_entr(expit(-t), expit(-s))
    return [temperature**2 * sample.sum(0).mean() for sample in each]


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@heads
def test_agrees_with_scipy(head, temperature: float) -> None:
    teacher, student = logits(head, 0), logits(head, 1)
    got = value(KL(temperature), head, teacher, student)
    np.testing.assert_allclose(got, expected(head, teacher, student, temperature), rtol=1e-5)


def test_exclusive_labels_agree_with_ignite() -> None:
    teacher, student = logits(HEADS[1], 0), logits(HEADS[1], 1)
    metric = KLDivergence()  # of (predicted, true) logits, classes in dimension 1, averaged over the rest
    metric.update((student / 4, teacher / 4))
    assert kl(teacher, student, "labels", 4.0).mean().item() == pytest.approx(16 * metric.compute(), rel=1e-4)


def test_regions_agree_with_a_loop_over_voxels() -> None:
    teacher, student = logits(HEADS[0], 0)[:1], logits(HEADS[0], 1)[:1]
    total = 0.0
    for z_t, z_s in zip(teacher.flatten().tolist(), student.flatten().tolist(), strict=True):
        q, p = 1 / (1 + np.exp(-z_t / 4)), 1 / (1 + np.exp(-z_s / 4))
        total += q * np.log(q / p) + (1 - q) * np.log((1 - q) / (1 - p))
    assert kl(teacher, student, "regions", 4.0).item() == pytest.approx(16 * total / teacher[0, 0].numel(), rel=1e-5)


@heads
def test_zero_at_equality_and_never_negative(head) -> None:
    """A softmax forgotten or applied twice shows as a negative or a vanishing divergence."""
    for size in (0.1, 3.0, 200.0):
        teacher = logits(head, 0, size)
        assert torch.equal(value(KL(), head, teacher, teacher), torch.zeros(2))
        near = teacher + 1e-2 * logits(head, 1, 1.0)
        assert (value(KL(), head, teacher, near) > -1e-6).all()
        for seed in range(1, 6):
            assert (value(KL(), head, teacher, logits(head, seed, size)) > 0).all()


def test_no_softmax_runs_across_overlapping_regions() -> None:
    """Raising all regions' logits alike changes what a voxel is; a softmax across regions would not see it."""
    teacher = logits(HEADS[0], 0)
    assert (value(KL(), HEADS[0], teacher, teacher + 2) > 0.1).all()


def test_classes_are_along_dimension_1_and_not_along_depth() -> None:
    """A constant added to all classes of a voxel changes nothing, whatever it is in the voxel behind."""
    teacher, student = logits(HEADS[1], 0), logits(HEADS[1], 1)
    constant = logits(HEADS[1], 2)[:, :1]
    torch.testing.assert_close(
        value(KL(), HEADS[1], teacher, student + constant), value(KL(), HEADS[1], teacher, student), rtol=1e-4, atol=0
    )


@heads
def test_gradient_is_that_of_finite_differences(head) -> None:
    teacher, student = (logits(head, seed)[:, :, :2, :2, :2].double() for seed in (0, 1))
    assert torch.autograd.gradcheck(lambda z: kl(teacher, z, head.name, 2.0), student.requires_grad_(), atol=1e-6)


@heads
def test_one_tensor_is_kept_for_the_backward_pass(head) -> None:
    assert kept_for_the_backward_pass(KL(), head) == [tuple(logits(head, 0).shape)]


@heads
def test_a_saturated_student_that_is_wrong_is_told_so(head) -> None:
    """Where probabilities round to 0 and 1 a formula of probabilities has no gradient left."""
    teacher = torch.full((1, head.out_channels, 2, 2, 2), -200.0)
    teacher[:, 0] = 200
    student = (-teacher).clone().requires_grad_()
    value(KL(1.0), head, teacher, student).backward()
    assert (student.grad[:, 0] < -0.1).all()


@heads
def test_the_gradient_keeps_its_size_as_the_temperature_rises(head) -> None:
    sizes = []
    for temperature in (50.0, 100.0):
        student = logits(head, 1).requires_grad_()
        value(KL(temperature), head, logits(head, 0), student).sum().backward()
        sizes.append(student.grad.norm())
    torch.testing.assert_close(*sizes, rtol=0.05, atol=0)
