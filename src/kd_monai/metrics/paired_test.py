"""What a paired difference says beside its mean: Wilcoxon's p, and for how many subjects which network is better."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata, wilcoxon

_DIGITS = 12
_EXACT = 50


class PairedTest(NamedTuple):
    """Two-sided p of Wilcoxon's signed-rank test, and counts of subjects."""

    p: float
    wins: int
    losses: int
    ties: int


def paired_test(a: ArrayLike, b: ArrayLike, lower_is_better: bool = False) -> PairedTest:
    """Hold one value per subject against another.

    Differences below 1e-12 are ties, which the test leaves out (Wilcoxon's own rule). p is 1 where all are ties, and
    NaN without a pair. Below 6 subjects without ties no p reaches 0.05: ``2 / 2^5`` is 0.0625.

    Args:
        a, b: one value per subject, the same subjects in the same order; a pair with a NaN is left out.
        lower_is_better: of the score: true of a distance.

    Example:
        >>> paired_test([3.0, 4.0, 5.0], [2.0, 2.0, 2.0])
        PairedTest(p=0.25, wins=3, losses=0, ties=0)
    """
    # rounding noise would rank equal differences, and give exact zeros a sign
    differences = (np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)).round(_DIGITS)
    differences = differences[~np.isnan(differences)]
    if lower_is_better:
        differences = -differences
    wins, losses = int((differences > 0).sum()), int((differences < 0).sum())
    ties = differences.size - wins - losses
    if not wins + losses:
        return PairedTest(1.0 if ties else float("nan"), 0, 0, ties)
    return PairedTest(_p(differences[differences != 0]), wins, losses, ties)


def _p(differences: NDArray[np.float64]) -> float:
    """Exact up to 50 subjects, equal ranks included.

    There scipy draws permutations, a second and more for each of a report's thousands of tests, or takes the normal
    approximation. Twice the ranks are whole, and half of all signs adds a rank to the sum: a convolution for each.
    """
    if differences.size > _EXACT:
        return float(wilcoxon(differences).pvalue)
    ranks = (2 * rankdata(np.abs(differences))).astype(np.int64)
    chances = np.ones(1)
    for rank in ranks:
        chances = (np.pad(chances, (0, rank)) + np.pad(chances, (rank, 0))) / 2
    seen = ranks[differences > 0].sum()
    return min(1.0, 2 * float(min(chances[: seen + 1].sum(), chances[seen:].sum())))
