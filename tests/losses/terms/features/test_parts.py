"""The exclusive parts of a label, by hand."""

from __future__ import annotations

import numpy as np
import torch
from feature_samples import SHAPE, features, part_masks, regions

from kd_monai.losses.terms.features.parts import exclusive_parts, part_means


def test_at_full_resolution_parts_are_the_masks() -> None:
    parts = exclusive_parts(regions(), SHAPE[2:])
    for sample in range(2):
        assert torch.equal(parts[sample], torch.stack(part_masks(regions()[sample])).float())


def test_a_coarse_voxel_counts_by_area_and_parts_sum_to_one() -> None:
    parts = exclusive_parts(regions(), (3, 2, 4))
    torch.testing.assert_close(parts.sum(1), torch.ones(2, 3, 2, 4))
    full = torch.stack(part_masks(regions()[0])).float()
    by_hand = full.reshape(4, 3, 2, 2, 2, 4, 2).mean((2, 4, 6))
    torch.testing.assert_close(parts[0], by_hand)


def test_one_enhancing_voxel_is_not_lost_at_the_bottleneck() -> None:
    label = torch.zeros(1, 3, 16, 16, 16)
    label[:, :, 3, 3, 3] = 1
    parts = exclusive_parts(label, (1, 1, 1))
    _, present = part_means(torch.ones(1, 2, 1, 1, 1), parts)
    assert parts[0, 3].item() == 1 / 16**3
    assert present.tolist() == [[True, False, False, True]]


def test_a_region_outside_the_one_around_it_counts_as_in_it() -> None:
    label = torch.zeros(1, 3, 2, 2, 2)
    label[:, 2] = 1  # ET without TC or WT
    assert exclusive_parts(label, (2, 2, 2)).mean((2, 3, 4)).tolist() == [[0, 0, 0, 1]]


def test_means_are_those_of_the_masked_voxels_and_zero_where_a_sample_lacks_the_part() -> None:
    layer = features(0)
    means, present = part_means(layer, exclusive_parts(regions(), SHAPE[2:]))
    assert present.tolist() == [[True] * 4, [True, True, True, False]]
    for sample in range(2):
        for part, mask in enumerate(part_masks(regions()[sample])):
            expected = layer[sample][:, mask].numpy().mean(1) if mask.any() else np.zeros(5)
            np.testing.assert_allclose(means[sample, part], expected, rtol=1e-4, atol=1e-5)
