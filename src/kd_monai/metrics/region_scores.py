"""Dice, HD95, sensitivity and specificity of TC, WT and ET, under one stated convention."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import torch
from monai.metrics import compute_hausdorff_distance
from numpy.typing import NDArray
from torch import Tensor

from kd_monai.task import REGIONS

METRICS = ("dice", "hd95", "sensitivity", "specificity")
LOWER_IS_BETTER = frozenset({"hd95", "tuned_hd95", "ece", "brier"})
HD95_PENALTY_MM = 373.13
"""HD95 of a missed or an invented region: the diagonal of the BraTS volume, as the challenge counts it."""

Mask: TypeAlias = NDArray[np.bool_] | Tensor
RegionScores = dict[str, dict[str, float]]


def region_scores(pred: Mask, label: Mask, spacing_mm: Sequence[float]) -> RegionScores:
    """Scores of one case on its native grid.

    ``dice = 2 TP / (2 TP + FP + FN)``, ``sensitivity = TP / (TP + FN)``, ``specificity = TN / (TN + FP)`` over all
    voxels of the grid; ``hd95`` is the larger of the two directed 95th percentiles of the distance between surface
    voxels (those with a face neighbour outside), in mm.

    Both empty: Dice 1, HD95 0. One empty: Dice 0, HD95 373.13 mm. Sensitivity is NaN where the reference is empty,
    specificity where it fills the grid.

    Args:
        pred, label: ``3 H W D`` (TC, WT, ET), bool or 0 and 1.
        spacing_mm: voxel sides along H, W, D.

    Returns:
        ``{metric: {region: value}}`` for dice, hd95, sensitivity, specificity.

    Raises:
        ValueError: shapes that differ or are not ``3 H W D``, values other than 0 and 1, a spacing that is not 3
            positive numbers.

    Example:
        >>> mask = np.zeros((3, 4, 5, 6), dtype=bool)
        >>> region_scores(mask, mask, (1, 1, 1))["dice"]
        {'TC': 1.0, 'WT': 1.0, 'ET': 1.0}
    """
    spacing = [float(side) for side in spacing_mm]
    if len(spacing) != 3 or not all(np.isfinite(side) and side > 0 for side in spacing):
        raise ValueError(
            f"`spacing_mm` must be 3 positive voxel sides in mm; got {spacing}. Read them from the image header."
        )
    predicted, reference = _as_masks(pred, "pred"), _as_masks(label, "label")
    if predicted.shape != reference.shape:
        raise ValueError(
            f"pred and label must lie on one grid; got shapes {predicted.shape} and {reference.shape}. "
            "Invert the preprocessing of the prediction first (Invertd)."
        )
    scores: RegionScores = {metric: {} for metric in METRICS}
    for region, p, y in zip(REGIONS, predicted, reference, strict=True):
        n_pred, n_label, hit = int(p.sum()), int(y.sum()), int((p & y).sum())
        n_background = y.size - n_label
        scores["dice"][region] = 2 * hit / (n_pred + n_label) if n_pred + n_label else 1.0
        scores["hd95"][region] = (
            _hd95(p, y, spacing) if n_pred and n_label else HD95_PENALTY_MM * bool(n_pred + n_label)
        )
        scores["sensitivity"][region] = hit / n_label if n_label else float("nan")
        scores["specificity"][region] = (n_background - n_pred + hit) / n_background if n_background else float("nan")
    return scores


def _as_masks(masks: Mask, name: str) -> NDArray[np.bool_]:
    array = masks.detach().cpu().numpy() if isinstance(masks, Tensor) else np.asarray(masks)
    if array.ndim != 4 or array.shape[0] != len(REGIONS):
        raise ValueError(
            f"{name} must be the masks of {', '.join(REGIONS)}, shape (3, H, W, D); got {array.shape}. "
            "Make regions of a label map first."
        )
    if array.dtype != np.bool_ and not np.isin(array, (0, 1)).all():
        raise ValueError(f"{name} must hold masks, 0 and 1; it has other values. Threshold probabilities at 0.5 first.")
    return array.astype(np.bool_, copy=False)


def _hd95(pred: NDArray[np.bool_], label: NDArray[np.bool_], spacing: list[float]) -> float:
    with warnings.catch_warnings():
        # MONAI 1.6.1 warns of an argument that it passes to itself (always_return_as_numpy)
        warnings.simplefilter("ignore", FutureWarning)
        distance = compute_hausdorff_distance(
            torch.tensor(pred)[None, None],
            torch.tensor(label)[None, None],
            include_background=True,
            percentile=95,
            spacing=spacing,
        )
    return float(distance.item())
