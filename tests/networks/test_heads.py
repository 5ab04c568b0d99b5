"""Heads: what logits mean, by hand-made volumes."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax

from kd_monai.networks import LabelsHead, RegionsHead, compose_label_map, head, regions_of


def nested_regions() -> torch.Tensor:
    """Four voxels: background, oedema, core, enhancing; channels TC, WT, ET."""
    return torch.tensor([[0, 0, 1, 1], [0, 1, 1, 1], [0, 0, 0, 1]], dtype=torch.float32).reshape(1, 3, 4, 1, 1)


def test_label_map_of_nested_regions() -> None:
    assert compose_label_map(nested_regions()).flatten().tolist() == [0, 2, 1, 3]


def test_regions_of_a_label_map_are_what_it_was_composed_of() -> None:
    assert torch.equal(regions_of(compose_label_map(nested_regions())), nested_regions().bool())


def test_composed_regions_are_nested_even_if_the_prediction_is_not() -> None:
    core, whole, enhancing = regions_of(compose_label_map(torch.rand(1, 3, 5, 6, 7) > 0.5))[0]
    assert (enhancing <= core).all()
    assert (core <= whole).all()


def test_labels_head_target_is_one_hot_of_exclusive_parts() -> None:
    target = LabelsHead().target(nested_regions())
    assert target.argmax(1).flatten().tolist() == [0, 2, 1, 3]
    assert torch.equal(target.sum(1), torch.ones(1, 4, 1, 1))


@pytest.mark.parametrize("made", [RegionsHead(), LabelsHead()])
def test_confident_logits_of_the_target_give_the_regions_back(made) -> None:
    logits = 20 * (2 * made.target(nested_regions()) - 1)
    torch.testing.assert_close(made.region_probabilities(logits), nested_regions(), atol=1e-4, rtol=0)
    assert made.label_map(logits).flatten().tolist() == [0, 2, 1, 3]


def test_region_probabilities_of_labels_are_sums_of_exclusive_parts() -> None:
    logits = torch.randn(2, 4, 3, 4, 5)
    p = torch.softmax(logits, 1)
    expected = torch.stack([p[:, 1] + p[:, 3], 1 - p[:, 0], p[:, 3]], 1)
    torch.testing.assert_close(LabelsHead().region_probabilities(logits), expected)


def test_region_probabilities_of_labels_stay_below_one_where_their_sum_is_rounded_up() -> None:
    """Scores refuse more than 1, and three float32 numbers that make up 1 may add up to it."""
    logits = torch.randn(1, 4, 40, 40, 40, generator=torch.Generator().manual_seed(0))
    logits[:, 0] = -30
    p = torch.softmax(logits, 1)
    assert p[:, 1:].sum(1).max() > 1
    assert LabelsHead().region_probabilities(logits).max() == 1


def test_temperature_divides_logits_across_classes_and_not_along_depth() -> None:
    logits = torch.randn(1, 4, 3, 4, 5)
    torch.testing.assert_close(LabelsHead().probabilities(logits, 2.0), torch.softmax(logits / 2, 1))
    torch.testing.assert_close(RegionsHead().probabilities(logits, 2.0), torch.sigmoid(logits / 2))


def test_unknown_head_is_refused() -> None:
    with pytest.raises(ValueError, match="regions"):
        head("softmax")


@pytest.mark.parametrize(("made", "probabilities"), [(RegionsHead(), expit), (LabelsHead(), partial(softmax, axis=1))])
def test_mean_logits_give_the_mean_of_probabilities(made, probabilities) -> None:
    logits = [4 * torch.randn(2, made.out_channels, 2, 3, 4) for _ in range(3)]
    mean = made.mean_logits(logits)
    expected = np.mean([probabilities(one.double().numpy()) for one in logits], axis=0)
    np.testing.assert_allclose(made.probabilities(mean), expected, atol=1e-6)


@pytest.mark.parametrize("made", [RegionsHead(), LabelsHead()])
def test_mean_logits_of_one_are_its_probabilities_and_of_certain_networks_are_finite(made) -> None:
    logits = torch.randn(1, made.out_channels, 2, 3, 4)
    torch.testing.assert_close(made.probabilities(made.mean_logits([logits])), made.probabilities(logits))
    for certain in ([200 * logits] * 2, [200 * logits, -200 * logits]):
        assert torch.isfinite(made.mean_logits(certain)).all()
