"""The adapter against numpy and torch's own interpolation."""

from __future__ import annotations

import numpy as np
import torch
from feature_samples import features
from torch.nn import functional as F

from kd_monai.losses import Adapter

STUDENT, TEACHER = features(1, (2, 3, 4, 2, 6)), features(0)


def test_at_the_teachers_size_it_is_a_matrix_at_every_voxel() -> None:
    student = features(1, (2, 3, 6, 4, 8))
    adapter = Adapter(student, TEACHER)
    weight, bias = (parameter.detach().numpy() for parameter in (adapter.weight, adapter.bias))
    expected = np.einsum("ok,bkhwd->bohwd", weight[:, :, 0, 0, 0], student.numpy()) + bias.reshape(1, -1, 1, 1, 1)
    np.testing.assert_allclose(adapter(student, TEACHER.shape[2:]).detach(), expected, rtol=1e-4, atol=1e-5)


def test_map_of_channels_and_resampling_commute() -> None:
    adapter = Adapter(STUDENT, TEACHER)
    got = adapter(STUDENT, TEACHER.shape[2:])
    assert got.shape == TEACHER.shape
    resampled = F.interpolate(STUDENT, size=(6, 4, 8), mode="trilinear", align_corners=False)
    torch.testing.assert_close(got, adapter(resampled, TEACHER.shape[2:]), rtol=1e-4, atol=1e-5)


def test_halving_takes_the_mean_of_eight_voxels() -> None:
    large = features(2, (1, 1, 4, 6, 8))
    adapter = Adapter(large, large)
    adapter.weight.data.fill_(1)
    adapter.bias.data.zero_()
    torch.testing.assert_close(adapter(large, (2, 3, 4)), F.avg_pool3d(large, 2))
