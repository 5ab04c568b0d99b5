from __future__ import annotations

import pytest
import torch

from kd_monai.metrics import ThresholdChoice, region_scores
from kd_monai.task import REGIONS

CANDIDATES = [i / 20 for i in range(1, 20)]


def cases(n: int = 3) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Regions that are predicted too low, about right and too high; ET is empty in the last case."""
    generator = torch.Generator().manual_seed(1)
    found = []
    for i in range(n):
        label = torch.rand(3, 4, 5, 6, generator=generator) < 0.3
        label[2] &= i < n - 1
        shift = torch.tensor([-0.2, 0.0, 0.2]).reshape(3, 1, 1, 1)
        noise = 0.25 * torch.randn(label.shape, generator=generator)
        found.append(((0.3 + 0.4 * label + shift + noise).clamp(0, 1), label))
    return found


def test_the_choice_is_that_of_trying_every_candidate() -> None:
    choice = ThresholdChoice()
    means = {region: dict.fromkeys(CANDIDATES, 0.0) for region in REGIONS}
    for probabilities, label in cases():
        choice.add(probabilities, label)
        for threshold in CANDIDATES:
            scores = region_scores(probabilities > threshold, label, (1, 1, 1))["dice"]
            for region in REGIONS:
                means[region][threshold] += scores[region] / 3
    assert choice.n_cases == 3
    for region, threshold in choice.chosen.items():
        assert means[region][threshold] == pytest.approx(max(means[region].values()))
    assert choice.chosen["TC"] < choice.chosen["ET"]


def test_of_equal_thresholds_the_nearest_to_one_half_is_taken() -> None:
    choice = ThresholdChoice()
    label = torch.arange(4).reshape(1, 1, 1, 4).expand(3, 1, 1, 4) < 2
    choice.add(label * 0.98 + 0.01, label)
    assert set(choice.chosen.values()) == {0.5}
    choice = ThresholdChoice()
    choice.add(label * 0.2 + 0.61, label)
    assert choice.chosen["WT"] == pytest.approx(0.65)


def test_a_probability_equal_to_the_threshold_lies_outside() -> None:
    choice = ThresholdChoice()
    label = torch.tensor([True, False]).reshape(1, 1, 1, 2).expand(3, 1, 1, 2)
    choice.add(torch.tensor([0.75, 0.5]).reshape(1, 1, 1, 2).expand(3, 1, 1, 2), label)
    assert choice.chosen["ET"] == 0.5


def test_empty_everywhere_is_right_and_a_false_alarm_is_not() -> None:
    choice = ThresholdChoice()
    nothing = torch.zeros(3, 2, 2, 2, dtype=torch.bool)
    choice.add(torch.full(nothing.shape, 0.62), nothing)
    assert choice.chosen["ET"] == pytest.approx(0.65)


def test_before_a_case_was_seen_it_is_one_half() -> None:
    assert ThresholdChoice().chosen == dict.fromkeys(REGIONS, 0.5)


def test_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="Invertd"):
        ThresholdChoice().add(torch.zeros(3, 2, 2, 2), torch.zeros(3, 2, 2, 3, dtype=torch.bool))
