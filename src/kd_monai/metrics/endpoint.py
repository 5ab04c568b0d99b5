"""The primary endpoint: the mean of WT and TC over all cases and of ET over those that have it, over modalities."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kd_monai.metrics.statistics import Interval

ENDPOINT_REGIONS = ("WT", "TC", "ET_present")
"""Order of the last axis; see `case_values`."""


def endpoint(values: ArrayLike) -> float:
    """``mean over modalities of mean over regions of mean over subjects``.

    Args:
        values: ``n M 3``: subjects, modalities, `ENDPOINT_REGIONS`; NaN where a subject has no ET.

    Returns:
        NaN where a modality has a region without any value.

    Raises:
        ValueError: another shape.

    Example:
        >>> endpoint([[[0.9, 0.6, 0.3]], [[0.7, 0.6, np.nan]]]).__round__(9)  # WT 0.8, TC 0.6, ET 0.3
        0.566666667
    """
    x = _checked(values)
    return float(_means(x, np.ones((1, len(x))))[0]) if len(x) else float("nan")


def endpoint_interval(values: ArrayLike, n_boot: int = 10_000, seed: int = 0, level: float = 0.95) -> Interval:
    """The endpoint and its percentile bootstrap interval.

    A subject is drawn with all its modalities and regions, and the endpoint computed anew in each resample. One that
    draws nobody with ET has no endpoint and is left out, which `scipy.stats.bootstrap` cannot do. For a paired
    difference give the differences: it is the difference of endpoints, because both networks are scored on the same
    references.

    Args:
        values: see `endpoint`.
        n_boot, seed, level: see `mean_interval`.

    Example:
        >>> endpoint_interval(np.full((3, 2, 3), 0.25))
        Interval(estimate=0.25, low=0.25, high=0.25, n=3)
    """
    x = _checked(values)
    n = len(x)
    if n < 2:
        return Interval(endpoint(x), float("nan"), float("nan"), n)
    drawn = np.random.default_rng(seed).integers(0, n, size=(n_boot, n))
    flat = (drawn + np.arange(n_boot)[:, None] * n).ravel()
    endpoints = _means(x, np.bincount(flat, minlength=n_boot * n).reshape(n_boot, n).astype(np.float64))
    endpoints = endpoints[~np.isnan(endpoints)]
    if not len(endpoints):
        return Interval(endpoint(x), float("nan"), float("nan"), n)
    low, high = np.quantile(endpoints, [(1 - level) / 2, (1 + level) / 2])
    return Interval(endpoint(x), float(low), float(high), n)


def subject_endpoints(values: ArrayLike) -> NDArray[np.float64]:
    """One value per subject, for tests and counts: the mean over modalities of the mean over its regions.

    A subject without ET contributes WT and TC alone. The mean of these values is not the endpoint, which weighs the
    three regions alike however many subjects have ET.

    Example:
        >>> subject_endpoints([[[0.9, 0.6, 0.3]], [[0.7, 0.6, np.nan]]]).round(9).tolist()
        [0.6, 0.65]
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a subject without any region has NaN
        means: NDArray[np.float64] = np.nanmean(_checked(values), axis=2)
    return means.mean(axis=1)


def _means(x: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Endpoint per row of subjects' weights."""
    n, modalities, regions = x.shape
    flat = x.reshape(n, modalities * regions)
    defined = ~np.isnan(flat)
    # centred: equal values keep an exact interval
    centre = flat[defined][0] if defined.any() else 0.0
    counts = weights @ defined
    sums = weights @ np.where(defined, flat - centre, 0.0)
    with np.errstate(invalid="ignore"):
        return centre + (sums / counts).reshape(-1, modalities, regions).mean(axis=(1, 2))


def _checked(values: ArrayLike) -> NDArray[np.float64]:
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 3 or x.shape[2] != len(ENDPOINT_REGIONS) or not x.shape[1]:
        raise ValueError(
            f"The endpoint reads subjects x modalities x ({', '.join(ENDPOINT_REGIONS)}); got shape {x.shape}. "
            "Average seeds first."
        )
    return x
