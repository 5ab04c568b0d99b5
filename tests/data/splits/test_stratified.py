"""Stratification."""

from __future__ import annotations

from collections import Counter

import pytest

from kd_monai.data.splits.partition import draw_val, make_folds, stratified_order

STRATA = {f"H{number}": "HGG" for number in range(21)} | {f"L{number}": "LGG" for number in range(7)}


def test_folds_differ_by_one_at_most_in_every_stratum() -> None:
    folds = make_folds(STRATA, 5, seed=3)
    assert sorted(name for fold in folds for name in fold) == sorted(STRATA)
    counts = [Counter(STRATA[name] for name in fold) for fold in folds]
    for grade in ("HGG", "LGG"):
        assert max(count[grade] for count in counts) - min(count[grade] for count in counts) <= 1


def test_every_beginning_of_the_order_has_the_overall_proportion() -> None:
    order = stratified_order(STRATA, "train", 0)
    assert sorted(order) == sorted(STRATA)
    for length in range(1, len(order) + 1):
        low = sum(STRATA[name] == "LGG" for name in order[:length])
        assert abs(low - length / 4) <= 1.75


def test_the_order_does_not_depend_on_that_of_the_input() -> None:
    backwards = dict(reversed(STRATA.items()))
    assert stratified_order(STRATA, 0) == stratified_order(backwards, 0)
    assert make_folds(STRATA, 3, 0) == make_folds(backwards, 3, 0)


def test_val_is_a_stratified_fifth() -> None:
    val = draw_val(STRATA, 0.2, seed=0, fold=1)
    assert len(val) == 6
    assert 1 <= sum(STRATA[name] == "LGG" for name in val) <= 2
    assert val != draw_val(STRATA, 0.2, seed=0, fold=2)


def test_folds_are_pinned() -> None:
    """Splits of finished runs must stay what they were: a change here is a change of every study."""
    assert make_folds(dict.fromkeys("abcdef", 0), 2, seed=0) == [["b", "d", "f"], ["a", "c", "e"]]


@pytest.mark.parametrize("folds", [1, 29])
def test_the_number_of_folds_is_checked(folds: int) -> None:
    with pytest.raises(ValueError, match="FOLDS must be from 2"):
        make_folds(STRATA, folds, 0)
