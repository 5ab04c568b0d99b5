from __future__ import annotations

import math

import numpy as np
import pytest

from kd_monai.metrics import endpoint, endpoint_interval, paired_difference, subject_endpoints

RNG = np.random.default_rng(5)
VALUES = RNG.normal(0.02, 0.05, (22, 4, 3))
VALUES[[3, 9, 14], :, 2] = np.nan


def slowly(values: np.ndarray, n_boot: int, seed: int) -> tuple[float, float]:
    """Bounds by drawing subjects one resample after the other."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(n_boot):
        drawn = values[rng.integers(0, len(values), len(values))]
        found.append(np.mean([np.nanmean(drawn[:, m, r]) for m in range(4) for r in range(3)]))
    return tuple(np.quantile(found, [0.025, 0.975]))


def test_it_is_the_mean_over_modalities_of_the_mean_over_regions() -> None:
    by_hand = [(VALUES[:, m, 0].mean() + VALUES[:, m, 1].mean() + np.nanmean(VALUES[:, m, 2])) / 3 for m in range(4)]
    assert endpoint(VALUES) == pytest.approx(np.mean(by_hand))


def test_the_interval_draws_whole_subjects() -> None:
    found = endpoint_interval(VALUES, n_boot=4000)
    assert found.estimate == pytest.approx(endpoint(VALUES))
    assert found[1:3] == pytest.approx(slowly(VALUES, 4000, 1), abs=1.5e-3)
    assert found.n == 22


def test_modalities_of_a_subject_are_not_counted_as_subjects() -> None:
    # four times the same modality: as wide as one, not half as wide
    one = endpoint_interval(VALUES[:, :1])
    four = endpoint_interval(np.repeat(VALUES[:, :1], 4, axis=1))
    assert four == pytest.approx(one)


def test_one_modality_with_equal_regions_is_the_plain_paired_difference() -> None:
    a, b = RNG.random(12), RNG.random(12)
    values = np.repeat((a - b)[:, None, None], 3, axis=2)
    assert endpoint_interval(values) == pytest.approx(paired_difference(a, b), abs=2e-3)


def test_equal_differences_keep_an_exact_interval() -> None:
    values = np.full((7, 2, 3), 0.1)
    values[2, :, 2] = np.nan
    assert endpoint_interval(values) == (0.1, 0.1, 0.1, 7)


def test_a_region_without_any_value_has_no_endpoint() -> None:
    values = VALUES.copy()
    values[:, 1, 2] = np.nan
    assert math.isnan(endpoint(values))
    assert math.isnan(endpoint_interval(values).low)
    assert endpoint_interval(values).contains_zero


def test_resamples_without_enhancing_tumour_are_left_out() -> None:
    values = np.full((3, 1, 3), 0.5)
    values[1:, :, 2] = np.nan
    assert endpoint_interval(values)[:3] == (0.5, 0.5, 0.5)


def test_a_subject_without_enhancing_tumour_contributes_two_regions() -> None:
    own = subject_endpoints(VALUES)
    assert own[3] == pytest.approx(VALUES[3, :, :2].mean())
    assert own[0] == pytest.approx(VALUES[0].mean())


def test_one_subject_has_no_interval_and_another_shape_is_refused() -> None:
    assert math.isnan(endpoint_interval(VALUES[:1]).low)
    with pytest.raises(ValueError, match="subjects x modalities"):
        endpoint(VALUES[:, 0])
