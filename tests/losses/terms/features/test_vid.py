"""vid against scipy's Gaussian; where its minimum is, for it may be negative."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from feature_samples import batch, features, outputs, regions
from scipy.stats import norm

from kd_monai.losses.terms.features.vid import VID, vid

VARIANCE = torch.tensor([0.1, 0.5, 1.0, 2.0, 9.0])


def test_is_scipys_negative_log_likelihood_without_its_constant() -> None:
    teacher, mean = features(0), features(1)
    scale = VARIANCE.sqrt().numpy()[:, None, None, None]
    for sample in range(2):
        likelihood = norm.logpdf(teacher[sample].numpy(), mean[sample].numpy(), scale).mean()
        expected = -likelihood - 0.5 * math.log(2 * math.pi)
        assert vid(teacher, mean, VARIANCE)[sample].item() == pytest.approx(expected, rel=1e-4)


def test_for_a_given_variance_the_minimum_is_at_equality_and_is_half_the_mean_log_variance() -> None:
    teacher = features(0)
    minimum = 0.5 * np.log(VARIANCE.numpy()).mean()
    torch.testing.assert_close(vid(teacher, teacher, VARIANCE), torch.full((2,), minimum))
    for seed in range(1, 6):
        assert (vid(teacher, teacher + 0.1 * features(seed), VARIANCE) > minimum).all()


def test_it_may_be_negative_and_never_falls_below_the_smallest_variances_value() -> None:
    teacher = features(0)
    assert (vid(teacher, teacher, torch.full((5,), 0.1)) < 0).all()
    term = VID("layer", "layer")
    term.build(outputs(teacher), outputs(teacher))
    term.raw_variance.data.fill_(-1e4)  # softplus is 0
    lowest = vid(teacher, teacher, term.variance)
    torch.testing.assert_close(lowest, torch.full((2,), 0.5 * math.log(1e-5)))


def test_for_a_given_error_the_minimum_over_the_variance_is_the_mean_squared_error() -> None:
    teacher, mean = features(0)[:1], features(1)[:1]
    best = (teacher - mean).square().flatten(2).mean(2)[0]
    least = vid(teacher, mean, best)
    for factor in (0.5, 0.9, 1.1, 2.0):
        assert (vid(teacher, mean, factor * best) > least).all()


def test_mean_and_variances_are_made_for_the_teachers_channels_and_learn() -> None:
    teacher, student = outputs(features(0)), outputs(features(1, (2, 3, 6, 4, 8)))
    term = VID("layer", "layer")
    assert term.learned
    term.build(student, teacher)
    assert {name: tuple(value.shape) for name, value in term.state_dict().items()} == {
        "raw_variance": (5,),
        "adapter.weight": (5, 3, 1, 1, 1),
        "adapter.bias": (5,),
    }
    torch.testing.assert_close(term.variance, torch.full((5,), 5.0))
    optimizer = torch.optim.Adam(term.parameters(), 0.1)
    values = []
    for _ in range(30):
        optimizer.zero_grad()
        value = term(student, teacher, batch(regions())).sum()
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < values[0]
    assert (term.variance > 5).all()  # the features' variance is 9, and this student knows nothing of them
