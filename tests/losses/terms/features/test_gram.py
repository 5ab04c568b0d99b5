"""gram against loops over channels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from feature_samples import features

from kd_monai.losses.terms.features.gram import gram


def by_hand(layer: np.ndarray) -> np.ndarray:
    """Gram matrix of one sample ``K h w d``, entry by entry."""
    channels = layer.shape[0]
    matrix = np.zeros((channels, channels))
    for i in range(channels):
        for j in range(channels):
            matrix[i, j] = (layer[i] * layer[j]).mean()
    return matrix


def test_agrees_with_loops_over_channels() -> None:
    teacher, student = features(0), features(1)
    for sample in range(2):
        difference = by_hand(teacher[sample].double().numpy()) - by_hand(student[sample].double().numpy())
        assert gram(teacher, student)[sample].item() == pytest.approx((difference**2).mean(), rel=1e-4)


def test_zero_at_equality_and_never_negative() -> None:
    teacher = features(0)
    assert torch.equal(gram(teacher, teacher), torch.zeros(2))
    for seed in range(1, 6):
        assert (gram(teacher, features(seed)) > 0).all()


def test_where_things_are_does_not_matter() -> None:
    teacher = features(0)
    torch.testing.assert_close(gram(teacher, teacher.flip(2, 3)), torch.zeros(2), atol=1e-6, rtol=0)


def test_each_sample_has_its_own_matrix() -> None:
    """One matrix over the batch could not see two samples exchanged."""
    teacher = features(0)
    assert (gram(teacher, teacher.flip(0)) > 0).all()
