from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import false_discovery_control

from kd_monai.metrics import holm


def by_definition(p: list[float], level: float) -> list[bool]:
    """Holm's procedure as he states it: reject from the smallest on, until p_(i) > level / (m - i + 1)."""
    rejected = [False] * len(p)
    for i, place in enumerate(np.argsort(p)):
        if p[place] > level / (len(p) - i):
            break
        rejected[place] = True
    return rejected


def test_an_example_by_hand() -> None:
    # sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1: 0.02, 0.03, 0.06, 0.04, and never falling
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_claims_are_those_of_the_step_down_procedure() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        p = (rng.random(7) ** 3).tolist()
        for level in (0.01, 0.05, 0.2):
            assert (holm(p) <= level).tolist() == by_definition(p, level)


def test_it_lies_between_benjamini_hochberg_and_bonferroni() -> None:
    p = np.random.default_rng(1).random(15) ** 4
    assert (holm(p) >= false_discovery_control(p) - 1e-12).all()
    assert (holm(p) <= np.minimum(1, 15 * p) + 1e-12).all()


def test_what_was_not_tested_does_not_count() -> None:
    found = holm([0.02, float("nan"), 0.04])
    assert math.isnan(found[1])
    assert found[[0, 2]] == pytest.approx([0.04, 0.04])
    assert holm([]).size == 0


def test_one_method_needs_no_correction() -> None:
    assert holm([0.03]) == pytest.approx([0.03])


@pytest.mark.parametrize("wrong", [[1.2], [-0.1], [[0.1]]])
def test_other_numbers_are_refused(wrong: list[float]) -> None:
    with pytest.raises(ValueError, match="p values"):
        holm(wrong)
