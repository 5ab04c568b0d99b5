"""consistency against scikit-learn, and its ramp."""

from __future__ import annotations

import math

import pytest
import torch
from output_samples import HEADS, batch, logits, value
from sklearn.metrics import mean_squared_error

from kd_monai.losses.terms.outputs.consistency import Consistency

heads = pytest.mark.parametrize("head", HEADS, ids=lambda head: head.name)


@heads
def test_agrees_with_scikit_learn(head) -> None:
    teacher, student = logits(head, 0), logits(head, 1)
    got = value(Consistency(), head, teacher, student)
    for sample in range(2):
        t, s = (head.probabilities(z)[sample].flatten().numpy() for z in (teacher, student))
        assert got[sample].item() == pytest.approx(mean_squared_error(t, s), rel=1e-5)


@heads
def test_zero_at_equality_and_positive_elsewhere(head) -> None:
    teacher = logits(head, 0)
    assert torch.equal(value(Consistency(), head, teacher, teacher), torch.zeros(2))
    for seed in range(1, 6):
        assert (value(Consistency(), head, teacher, logits(head, seed)) > 0).all()


@pytest.mark.parametrize(
    ("progress", "weight"), [(0.0, math.exp(-5)), (0.035, math.exp(-1.25)), (0.07, 1.0), (0.5, 1.0), (1.0, 1.0)]
)
def test_the_weight_rises_to_one_over_the_first_7_percent(progress: float, weight: float) -> None:
    teacher, student = logits(HEADS[0], 0), logits(HEADS[0], 1)
    full = value(Consistency(), HEADS[0], teacher, student, batch(1.0))
    torch.testing.assert_close(value(Consistency(), HEADS[0], teacher, student, batch(progress)), weight * full)


def test_the_share_of_the_training_over_which_it_rises_can_be_set() -> None:
    teacher, student = logits(HEADS[0], 0), logits(HEADS[0], 1)
    full = value(Consistency(), HEADS[0], teacher, student)
    got = value(Consistency(ramp_share=0.5), HEADS[0], teacher, student, batch(0.25))
    torch.testing.assert_close(got, math.exp(-1.25) * full)


@pytest.mark.parametrize("share", [0.0, -0.1, 7.0])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match=r"`ramp_share` of consistency.*got .*Write 0\.07"):
        Consistency(ramp_share=share)
