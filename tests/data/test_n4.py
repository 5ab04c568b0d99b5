"""N4 finds a bias field that was put in."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from shipped import cached_transforms

from kd_monai.data import BiasFieldCorrectiond
from kd_monai.data.n4 import n4_correct


@pytest.fixture(scope="module")
def head() -> tuple[np.ndarray, np.ndarray]:
    """Two tissues in a ball, without and with a bias field."""
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, side) for side in (32, 40, 24)], indexing="ij")
    inside = x**2 + y**2 + z**2 < 0.8
    tissue = np.where(x**2 + y**2 < 0.3, 100, 60) + np.random.default_rng(0).normal(0, 2, x.shape)
    clean = np.where(inside, tissue, 0).astype(np.float32)
    return clean, (clean * np.exp(0.4 * x + 0.3 * y * z)).astype(np.float32)


@pytest.mark.slow
def test_the_field_is_divided_out(head: tuple[np.ndarray, np.ndarray]) -> None:
    clean, biased = head
    inside = clean > 0
    corrected = n4_correct(biased, (2.0, 2.0, 2.0), iterations=20)
    before, after = (np.log(volume[inside] / clean[inside]).std() for volume in (biased, corrected))
    assert after < 0.2 * before
    assert not corrected[~inside].any()


def test_each_channel_has_a_field_of_its_own(
    head: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[float, ...]] = []

    def half(volume: np.ndarray, spacing_mm: tuple[float, ...]) -> np.ndarray:
        seen.append(spacing_mm)
        return volume / 2

    monkeypatch.setattr("kd_monai.data.n4.n4_correct", half)
    image = MetaTensor(torch.from_numpy(np.stack(head)), affine=torch.diag(torch.tensor([2.0, 2.0, 3.0, 1.0])))
    corrected = BiasFieldCorrectiond("image")({"image": image})["image"]
    assert seen == [(2.0, 2.0, 3.0)] * 2
    assert torch.equal(corrected.as_tensor(), image.as_tensor() / 2)
    assert torch.equal(corrected.affine, image.affine)


@pytest.mark.parametrize("n4", [False, True])
def test_the_configuration_switches_it_on(n4: bool) -> None:
    names = [type(part).__name__ for part in cached_transforms(n4=n4).flatten().transforms]
    assert ("BiasFieldCorrectiond" in names) == n4


def test_an_empty_volume_is_refused() -> None:
    with pytest.raises(ValueError, match="voxels above 0"):
        n4_correct(np.zeros((8, 8, 8), np.float32), (1.0, 1.0, 1.0))
