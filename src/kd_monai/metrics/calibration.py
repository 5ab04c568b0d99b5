"""How far predicted probabilities are from what happens: calibration error and Brier score of TC, WT and ET."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from kd_monai.task import REGIONS

BINS = 15


def calibration(probabilities: Tensor, label: Tensor, brain: Tensor) -> dict[str, dict[str, float]]:
    """Calibration of one case, over the voxels of its brain.

    ``ece = sum_b n_b / n * |mean(y in b) - mean(p in b)|`` over 15 bins of equal width, ``brier = mean (p - y)^2``.
    Only the brain counts: the air around it, which every network is sure of, would make both as small as the volume
    is large. NaN where there is no brain.

    Args:
        probabilities: float ``3 H W D`` (TC, WT, ET).
        label: bool ``3 H W D``.
        brain: bool ``1 H W D``.

    Returns:
        ``{"ece": {region: value}, "brier": {region: value}}``.

    Raises:
        ValueError: the three do not lie on one grid, or a probability is none.

    Source: Naeini et al. 2015 and Guo et al. 2017 for the bins; Brier 1950.
    """
    shapes = [tuple(volume.shape) for volume in (probabilities, label, brain)]
    if shapes[0] != shapes[1] or shapes[2] != (1, *shapes[0][1:]) or shapes[0][0] != len(REGIONS):
        raise ValueError(
            f"Calibration needs probabilities and label of shape (3, H, W, D) and a brain of (1, H, W, D); got "
            f"{shapes}. Invert the preprocessing of all of them (Invertd)."
        )
    inside = brain[0].bool().cpu().numpy()
    scores: dict[str, dict[str, float]] = {"ece": {}, "brier": {}}
    for region, predicted, reference in zip(REGIONS, probabilities, label, strict=True):
        p = predicted.cpu().numpy()[inside].astype(np.float64)
        y = reference.cpu().numpy()[inside].astype(np.float64)
        if p.size and not (p.min() >= 0 and p.max() <= 1):
            raise ValueError(f"Probabilities lie in [0, 1]; those of {region} do not. Give no logits.")
        scores["ece"][region] = _expected_calibration_error(p, y)
        scores["brier"][region] = float(np.mean((p - y) ** 2)) if p.size else float("nan")
    return scores


def _expected_calibration_error(p: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    if not p.size:
        return float("nan")
    bins = np.minimum((p * BINS).astype(np.int64), BINS - 1)
    # n_b |mean y - mean p| is the absolute value of a difference of sums
    gaps = np.bincount(bins, weights=y - p, minlength=BINS)
    return float(np.abs(gaps).sum() / p.size)
