from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from kd_monai.metrics import calibration
from kd_monai.task import REGIONS

SHAPE = (5, 6, 7)


@pytest.fixture
def case() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Probabilities that are too sure, a label drawn from milder ones, and a brain that fills half the grid."""
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.rand(3, *SHAPE, generator=generator)
    label = torch.rand(3, *SHAPE, generator=generator) < 0.25 + 0.5 * probabilities
    return probabilities, label, torch.rand(1, *SHAPE, generator=generator) < 0.5


@pytest.mark.parametrize("region", REGIONS)
def test_both_agree_with_scikit_learn_on_the_brains_voxels(case, region: str) -> None:
    probabilities, label, brain = case
    i, inside = REGIONS.index(region), brain[0].numpy()
    p, y = probabilities[i].numpy()[inside].astype(float), label[i].numpy()[inside]
    found = calibration(*case)
    assert found["brier"][region] == pytest.approx(brier_score_loss(y, p))
    # scikit-learn leaves empty bins out of its curve
    true, predicted = calibration_curve(y, p, n_bins=15, strategy="uniform")
    counts = np.histogram(p, np.linspace(0, 1, 16))[0]
    counts = counts[counts > 0]
    assert found["ece"][region] == pytest.approx(np.sum(counts * np.abs(true - predicted)) / counts.sum())
    assert found["ece"][region] > 0.05


def test_right_and_sure_is_zero_wrong_and_sure_is_one(case) -> None:
    _, label, brain = case
    for probabilities, expected in ((label.float(), 0), (1 - label.float(), 1)):
        found = calibration(probabilities, label, brain)
        for name in ("ece", "brier"):
            assert list(found[name].values()) == pytest.approx([expected] * 3)


def test_saying_how_often_it_happens_is_calibrated_and_not_sharp() -> None:
    label = torch.arange(4).reshape(1, 1, 1, 4).expand(3, 1, 1, 4) == 0
    found = calibration(torch.full((3, 1, 1, 4), 0.25), label, torch.ones(1, 1, 1, 4, dtype=torch.bool))
    assert found["ece"]["WT"] == 0
    assert found["brier"]["WT"] == pytest.approx(0.25 * 0.75)


def test_air_around_the_brain_does_not_count(case) -> None:
    probabilities, label, brain = case
    padded = [torch.nn.functional.pad(volume.float(), (3,) * 6) for volume in case]
    found = calibration(padded[0], padded[1].bool(), padded[2].bool())
    expected = calibration(probabilities, label, brain)
    for name in ("ece", "brier"):
        assert found[name] == pytest.approx(expected[name])


def test_a_region_that_is_nowhere_has_a_score() -> None:
    grid = (3, 2, 2, 2)
    label = torch.zeros(grid, dtype=torch.bool)
    found = calibration(torch.full(grid, 0.1), label, torch.ones(1, 2, 2, 2, dtype=torch.bool))
    assert found["ece"]["ET"] == pytest.approx(0.1)
    assert found["brier"]["ET"] == pytest.approx(0.01)


def test_no_brain_no_score(case) -> None:
    probabilities, label, brain = case
    found = calibration(probabilities, label, torch.zeros_like(brain))
    assert all(math.isnan(value) for scores in found.values() for value in scores.values())


def test_logits_and_other_grids_are_refused(case) -> None:
    probabilities, label, brain = case
    with pytest.raises(ValueError, match=r"lie in \[0, 1\]"):
        calibration(10 * probabilities - 5, label, brain)
    with pytest.raises(ValueError, match="Invertd"):
        calibration(probabilities, label[:, 1:], brain)
