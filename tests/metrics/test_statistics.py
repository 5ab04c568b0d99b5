from __future__ import annotations

import math
import time

import numpy as np
import pytest
from scipy.stats import bootstrap

from kd_monai.metrics import gap_closed, mean_interval, paired_difference

RNG = np.random.default_rng(7)
BASELINE = RNG.normal(0.6, 0.15, 22)
STUDENT = BASELINE + RNG.normal(0.03, 0.04, 22)
TEACHER = BASELINE + RNG.normal(0.10, 0.04, 22)


def test_interval_agrees_with_scipys_bootstrap() -> None:
    ours = paired_difference(STUDENT, BASELINE, n_boot=100_000)
    theirs = bootstrap(
        (STUDENT, BASELINE),
        lambda a, b, axis: np.mean(a - b, axis=axis),
        paired=True,
        method="percentile",
        n_resamples=100_000,
        rng=np.random.default_rng(3),
    ).confidence_interval
    assert ours.estimate == pytest.approx(np.mean(STUDENT - BASELINE))
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=5e-4)


def test_pairing_is_kept_when_subjects_are_resampled() -> None:
    # subjects differ by 0.15, networks by 0.01 on every one of them: unpaired, this interval would be 0.1 wide
    interval = paired_difference(BASELINE + 0.01, BASELINE)
    assert interval.high - interval.low < 1e-12
    assert not interval.contains_zero


def test_equal_networks_have_the_difference_zero() -> None:
    interval = paired_difference(BASELINE, BASELINE)
    assert interval == (0, 0, 0, 22)
    assert interval.contains_zero


def test_same_seed_same_bounds_and_another_seed_close_by() -> None:
    first = mean_interval(BASELINE)
    assert mean_interval(BASELINE) == first
    assert mean_interval(BASELINE, seed=1) != first
    assert mean_interval(BASELINE, seed=1).low == pytest.approx(first.low, abs=0.01)


def test_a_wider_level_gives_a_wider_interval() -> None:
    assert (
        mean_interval(BASELINE, level=0.99).low < mean_interval(BASELINE).low < mean_interval(BASELINE, level=0.8).low
    )


def test_swapped_networks_change_the_sign() -> None:
    forth, back = paired_difference(STUDENT, BASELINE), paired_difference(BASELINE, STUDENT)
    assert (back.estimate, back.low, back.high) == pytest.approx((-forth.estimate, -forth.high, -forth.low))


def test_a_pair_with_an_undefined_score_is_left_out_whole() -> None:
    a, b = STUDENT.copy(), BASELINE.copy()
    a[0], b[1] = np.nan, np.nan
    assert paired_difference(a, b) == paired_difference(STUDENT[2:], BASELINE[2:])


@pytest.mark.parametrize(("values", "n"), [([0.5], 1), ([], 0), ([np.nan, np.nan], 0)])
def test_too_few_subjects_have_no_bounds_and_no_claim(values: list[float], n: int) -> None:
    interval = mean_interval(values)
    assert interval.n == n
    assert math.isnan(interval.low)
    assert interval.contains_zero


def test_gap_closed_is_the_ratio_of_means_and_not_the_mean_of_ratios() -> None:
    expected = (STUDENT.mean() - BASELINE.mean()) / (TEACHER.mean() - BASELINE.mean())
    assert gap_closed(STUDENT, BASELINE, TEACHER) == pytest.approx(expected)


def test_gap_closed_of_the_ends() -> None:
    assert gap_closed(BASELINE, BASELINE, TEACHER) == pytest.approx(0)
    assert gap_closed(TEACHER, BASELINE, TEACHER) == pytest.approx(1)


def test_gap_closed_is_positive_where_lower_is_better() -> None:
    mirrored = gap_closed(-STUDENT, -BASELINE, -TEACHER, lower_is_better=True)
    assert mirrored == pytest.approx(gap_closed(STUDENT, BASELINE, TEACHER))


def test_gap_closed_is_undefined_where_the_teacher_is_worse_than_the_baseline() -> None:
    worse = 2 * BASELINE - TEACHER
    assert not paired_difference(worse, BASELINE).contains_zero
    assert gap_closed(2 * BASELINE - STUDENT, BASELINE, worse) is None  # both lose, and the ratio is positive
    assert gap_closed(STUDENT, BASELINE, TEACHER, lower_is_better=True) is None


def test_gap_closed_is_undefined_where_the_teacher_shows_no_gap() -> None:
    # +0.1 and -0.1 in turn: the mean difference is 0
    teacher = BASELINE + np.tile([0.1, -0.1], 11)
    assert gap_closed(STUDENT, BASELINE, teacher) is None
    assert gap_closed(STUDENT, BASELINE, BASELINE) is None
    assert gap_closed([0.5], [0.4], [0.9]) is None


def test_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="22 and 21 values"):
        paired_difference(STUDENT, BASELINE[1:])


@pytest.mark.parametrize("level", [0, 1, 95])
def test_a_level_outside_0_and_1_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match="level"):
        mean_interval(BASELINE, level=level)


def test_ten_thousand_resamples_of_1251_subjects_take_a_second_or_so() -> None:
    start = time.process_time()
    mean_interval(RNG.normal(size=1251))
    assert time.process_time() - start < 5
