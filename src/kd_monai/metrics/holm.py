"""Holm's correction of several p values."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """p values corrected for how many there are: the chance of one false claim or more stays below the level.

    With p sorted, ``p*_(i) = min(1, max_{j <= i} (m - j + 1) p_(j))``; claims at level a are those with ``p* <= a``.

    Args:
        p_values: one per comparison; NaN (nothing was tested) stays NaN and does not count.

    Raises:
        ValueError: values that are not one-dimensional, or outside [0, 1].

    Source: Holm, A simple sequentially rejective multiple test procedure (1979).

    Example:
        >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
        [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or (p < 0).any() or (p > 1).any():
        raise ValueError(f"p values are a list of numbers in [0, 1]; got {p.tolist()}. Correct them.")
    corrected = p.copy()
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(1, np.maximum.accumulate(factors * p[order])) if len(order) else p[order]
    return corrected
