"""N4 finds a bias field that was put in."""

from __future__ import annotations

import numpy as np
import pytest

from kd_monai.data.n4 import n4_correct


@pytest.fixture(scope="module")
def head() -> tuple[np.ndarray, np.ndarray]:
    """Two tissues in a ball, without and with a bias field."""
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, side) for side in (32, 40, 24)], indexing="ij")
    inside = x**2 + y**2 + z**2 < 0.8
    tissue = np.where(x**2 + y**2 < 0.3, 100, 60) + np.random.default_rng(0).normal(0, 2, x.shape)
    clean = np.where(inside, tissue, 0).astype(np.float32)
    return clean, (clean * np.exp(0.4 * x + 0.3 * y * z)).astype(np.float32)


def test_the_field_is_divided_out(head: tuple[np.ndarray, np.ndarray]) -> None:
    clean, biased = head
    inside = clean > 0
    corrected = n4_correct(biased, (2.0, 2.0, 2.0), iterations=20)
    before, after = (np.log(volume[inside] / clean[inside]).std() for volume in (biased, corrected))
    assert after < 0.2 * before
    assert not corrected[~inside].any()


def test_an_empty_volume_is_refused() -> None:
    with pytest.raises(ValueError, match="voxels above 0"):
        n4_correct(np.zeros((8, 8, 8), np.float32), (1.0, 1.0, 1.0))
