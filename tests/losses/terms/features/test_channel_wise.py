"""channel_wise against scipy, and its temperature."""

from __future__ import annotations

import pytest
import torch
from feature_samples import features
from scipy.special import rel_entr, softmax

from kd_monai.losses.terms.features.channel_wise import channel_wise


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_agrees_with_scipy(temperature: float) -> None:
    teacher, student = features(0), features(1)
    for sample in range(2):
        q, p = (softmax(x[sample].double().numpy() / temperature, axis=(1, 2, 3)) for x in (teacher, student))
        expected = temperature**2 * rel_entr(q, p).sum((1, 2, 3)).mean()
        assert channel_wise(teacher, student, temperature)[sample].item() == pytest.approx(expected, rel=1e-4)


def test_zero_at_equality_and_where_a_channel_differs_by_a_constant_and_never_negative() -> None:
    teacher = features(0)
    for student in (teacher, teacher + torch.arange(5.0).reshape(1, 5, 1, 1, 1)):
        torch.testing.assert_close(channel_wise(teacher, student), torch.zeros(2), atol=1e-5, rtol=0)
    for seed in range(1, 6):
        assert (channel_wise(teacher, features(seed)) > 0).all()


def test_channels_are_averaged() -> None:
    teacher, student = features(0), features(1)
    wide = channel_wise(torch.cat([teacher] * 2, 1), torch.cat([student] * 2, 1))
    torch.testing.assert_close(wide, channel_wise(teacher, student))


def test_temperature_squared_keeps_the_gradient_at_high_temperatures() -> None:
    """It tends to half the variance over voxels of the difference: T^2 * KL falls to no smaller order."""
    teacher, student = features(0), features(1)
    limit = 0.5 * (teacher - student).flatten(2).var(2, correction=0).mean(1)
    torch.testing.assert_close(channel_wise(teacher.double(), student.double(), 1e3).float(), limit, rtol=0.02, atol=0)
