from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from scipy.stats import rankdata, wilcoxon

from kd_monai.metrics import paired_test


def exact_p(differences: np.ndarray) -> float:
    """Wilcoxon's signed-rank p over all 2^n signs."""
    ranks = rankdata(np.abs(differences))
    sums = np.array([np.dot(signs, ranks) for signs in product((0, 1), repeat=len(ranks))])
    seen = ranks[differences > 0].sum()
    return min(1.0, 2 * min((sums >= seen).mean(), (sums <= seen).mean()))


def test_p_is_that_of_all_signs() -> None:
    rng = np.random.default_rng(3)
    for n in (5, 8, 10):
        a, b = rng.normal(0.3, 1, n), rng.normal(0, 1, n)
        assert paired_test(a, b).p == pytest.approx(exact_p((a - b).round(12)))


def test_equal_ranks_are_exact_too() -> None:
    differences = np.array([0.1, 0.1, -0.1, 0.2, 0.2, -0.3, 0.4, 0.4, 1, -1])
    assert paired_test(differences, np.zeros(10)).p == pytest.approx(exact_p(differences))


@pytest.mark.parametrize("n", [14, 22, 50, 51, 200])
def test_p_is_scipys_where_no_ranks_are_equal(n: int) -> None:
    rng = np.random.default_rng(n)
    differences = rng.normal(0.2, 1, n).round(10)
    assert paired_test(differences, np.zeros(n)).p == pytest.approx(wilcoxon(differences).pvalue)


def test_wins_losses_and_ties_are_counted() -> None:
    assert paired_test([1, 2, 3, 4], [0, 3, 3, 1])[1:] == (2, 1, 1)
    assert paired_test([1, 2, 3, 4], [0, 3, 3, 1], lower_is_better=True)[1:] == (1, 2, 1)


def test_rounding_noise_is_a_tie() -> None:
    a = np.array([0.1 + 0.2, 0.5])
    assert a[0] != 0.3
    assert paired_test(a, [0.3, 0.5]) == (1.0, 0, 0, 2)


def test_an_undefined_score_leaves_its_subject_out() -> None:
    assert paired_test([1, float("nan"), 3], [0, 1, float("nan")])[1:] == (1, 0, 0)
    assert math.isnan(paired_test([float("nan")], [1.0]).p)


def test_swapping_the_networks_swaps_wins_and_losses_and_keeps_p() -> None:
    a, b = [0.4, 0.6, 0.9, 0.3], [0.3, 0.7, 0.5, 0.1]
    assert paired_test(a, b).p == pytest.approx(paired_test(b, a).p)
    assert paired_test(a, b)[1:3] == paired_test(b, a)[2:0:-1]


def test_ties_are_left_out_of_the_test() -> None:
    rng = np.random.default_rng(4)
    differences = rng.normal(0.4, 1, 9)
    assert paired_test([*differences, 0, 0, 0], [0] * 12).p == pytest.approx(exact_p(differences.round(12)))
