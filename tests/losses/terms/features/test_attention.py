"""attention against scipy's cosine distance."""

from __future__ import annotations

import pytest
import torch
from feature_samples import features
from scipy.spatial.distance import cosine
from torch.nn import functional as F

from kd_monai.losses.terms.features.attention import attention


def test_is_twice_scipys_cosine_distance_of_the_two_maps() -> None:
    teacher, student = features(0), features(1)
    for sample in range(2):
        maps = [(layer[sample].double().numpy() ** 2).sum(0).ravel() for layer in (teacher, student)]
        assert attention(teacher, student)[sample].item() == pytest.approx(2 * cosine(*maps), rel=1e-4)


def test_zero_at_equality_and_at_every_multiple_and_never_negative() -> None:
    teacher = features(0)
    for factor in (1.0, -0.5, 20.0):
        torch.testing.assert_close(attention(teacher, factor * teacher), torch.zeros(2), atol=1e-6, rtol=0)
    for seed in range(1, 6):
        assert (attention(teacher, features(seed)) > 0).all()


def test_apart_it_is_two_on_any_number_of_voxels() -> None:
    """A mean over voxels would be about 1e-5 of this on a patch, and teach nothing."""
    for side in (2, 8, 16):
        teacher, student = torch.zeros(2, 1, 3, side, side, side)
        teacher[:, :, : side // 2] = 1
        student[:, :, side // 2 :] = 1
        torch.testing.assert_close(attention(teacher, student), torch.tensor([2.0]))


def test_a_map_of_another_size_is_resampled_before_it_is_normalised() -> None:
    teacher, student = features(0), features(1, (2, 3, 12, 8, 16))
    halved = F.avg_pool3d(student.square().sum(1, keepdim=True), 2)  # trilinear at half the size
    torch.testing.assert_close(attention(teacher, student), attention(teacher, halved.sqrt()), rtol=1e-4, atol=1e-5)
