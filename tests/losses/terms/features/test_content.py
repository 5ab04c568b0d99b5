"""content against scikit-learn."""

from __future__ import annotations

import pytest
import torch
from feature_samples import features
from sklearn.metrics import mean_squared_error

from kd_monai.losses import content


def test_agrees_with_scikit_learn() -> None:
    teacher, student = features(0), features(1)
    for sample in range(2):
        expected = mean_squared_error(teacher[sample].flatten(), student[sample].flatten())
        assert content(teacher, student)[sample].item() == pytest.approx(expected, rel=1e-5)


def test_zero_at_equality_and_positive_elsewhere() -> None:
    teacher = features(0)
    assert torch.equal(content(teacher, teacher), torch.zeros(2))
    for seed in range(1, 6):
        assert (content(teacher, teacher + 1e-3 * features(seed)) > 0).all()
