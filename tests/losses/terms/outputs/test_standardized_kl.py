"""standardized_kl against scipy, and the axis over which it standardises."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from output_samples import HEADS, logits, value
from scipy.special import rel_entr, softmax
from scipy.stats import zscore

from kd_monai.losses.terms.outputs.standardized_kl import StandardizedKL, across_classes, standardized_kl
from kd_monai.networks import LabelsHead, RegionsHead
from kd_monai.outputs import Outputs

heads = pytest.mark.parametrize("head", HEADS[1:], ids=lambda head: head.name)
LABELS = LabelsHead()


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_agrees_with_scipy(temperature: float) -> None:
    teacher, student = logits(LABELS, 0), logits(LABELS, 1)
    q, p = (softmax(zscore(z.double().numpy(), axis=1) / temperature, axis=1) for z in (teacher, student))
    expected = temperature**2 * rel_entr(q, p).sum(1).mean((1, 2, 3))
    np.testing.assert_allclose(value(StandardizedKL(temperature), LABELS, teacher, student), expected, rtol=1e-3)


def test_logits_are_standardised_across_classes_and_not_along_depth() -> None:
    z = logits(LABELS, 0) + torch.arange(3.0).reshape(1, 1, 3, 1, 1)
    standard = across_classes(z)
    torch.testing.assert_close(standard.mean(1), torch.zeros(2, 3, 4, 5), atol=1e-5, rtol=0)
    torch.testing.assert_close(standard.std(1, correction=0), torch.ones(2, 3, 4, 5), atol=1e-2, rtol=0)
    changed = z.clone()
    changed[:, :, 1:] = logits(LABELS, 1)[:, :, 1:]
    assert torch.equal(across_classes(changed)[:, :, 0], standard[:, :, 0])


def test_zero_at_equality_and_never_negative() -> None:
    teacher = logits(LABELS, 0)
    assert torch.equal(value(StandardizedKL(), LABELS, teacher, teacher), torch.zeros(2))
    for seed in range(1, 6):
        assert (value(StandardizedKL(), LABELS, teacher, logits(LABELS, seed)) > 0).all()


def test_the_size_of_the_logits_and_a_constant_beside_them_cost_nothing() -> None:
    teacher = logits(LABELS, 0)
    offset = logits(LABELS, 1)[:, :1]
    got = value(StandardizedKL(), LABELS, teacher, 5 * teacher + offset)
    torch.testing.assert_close(got, torch.zeros(2), atol=1e-4, rtol=0)


def test_gradient_is_that_of_finite_differences() -> None:
    teacher, student = (logits(LABELS, seed)[:, :, :2, :2, :2].double() for seed in (0, 1))
    assert torch.autograd.gradcheck(lambda z: standardized_kl(teacher, z), student.requires_grad_(), atol=1e-6)


def test_two_networks_of_the_other_head_are_refused_with_the_setting_that_helps() -> None:
    """The classes of a softmax exclude each other; TC, WT and ET do not."""
    outputs = Outputs(logits(RegionsHead(), 0), RegionsHead())
    with pytest.raises(ValueError, match=r"'labels' head alone; got a 'regions' teacher.*SET=head=labels"):
        StandardizedKL().check(outputs, outputs)
