"""The probability above which a voxel belongs to a region, chosen where it was not tested."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from kd_monai.task import REGIONS

CANDIDATES = np.arange(1, 20) / 20
DEFAULT = 0.5


class ThresholdChoice:
    """Per region the candidate with the largest mean Dice over the cases it is shown.

    Candidates are 0.05, 0.10 .. 0.95; Dice is 1 where mask and reference are both empty. Of equal ones the nearest to
    0.5 is taken. Each region is looked at by itself: laying ET over TC over WT afterwards, as a label map does, adds
    voxels to TC and WT that this choice has not counted. Of a case only the 3 x 19 Dice are kept.

    Example:
        >>> import torch
        >>> choice, label = ThresholdChoice(), torch.ones(3, 1, 1, 2, dtype=torch.bool)
        >>> choice.add(torch.full((3, 1, 1, 2), 0.42), label)
        >>> choice.chosen
        {'TC': 0.4, 'WT': 0.4, 'ET': 0.4}
    """

    def __init__(self) -> None:
        self._dice: list[NDArray[np.float64]] = []

    @property
    def n_cases(self) -> int:
        """Cases seen."""
        return len(self._dice)

    @property
    def chosen(self) -> dict[str, float]:
        """Region -> threshold; 0.5 before a case was seen."""
        if not self._dice:
            return dict.fromkeys(REGIONS, DEFAULT)
        order = np.argsort(np.abs(CANDIDATES - DEFAULT), kind="stable")
        # means of one case's order or another's differ in their last bits
        means = np.mean(self._dice, axis=0).round(12)[:, order]
        return {region: float(CANDIDATES[order[row.argmax()]]) for region, row in zip(REGIONS, means, strict=True)}

    def add(self, probabilities: Tensor, label: Tensor) -> None:
        """Look at one case.

        Args:
            probabilities: float ``3 H W D`` (TC, WT, ET).
            label: bool ``3 H W D``.

        Raises:
            ValueError: shapes that differ or have other than three regions.
        """
        if probabilities.shape != label.shape or len(label) != len(REGIONS):
            raise ValueError(
                f"A threshold is chosen on probabilities and label of (3, H, W, D); got {tuple(probabilities.shape)} "
                f"and {tuple(label.shape)}. Invert the preprocessing of the prediction first (Invertd)."
            )
        rows = []
        for p, y in zip(probabilities.cpu().numpy(), label.cpu().numpy(), strict=True):
            size, hits = _above(p), _above(p[y])
            total = size + y.sum()
            rows.append(np.where(total > 0, 2 * hits / np.maximum(total, 1), 1.0))
        self._dice.append(np.stack(rows))


def _above(p: NDArray[np.float32]) -> NDArray[np.int64]:
    """How many probabilities lie above each candidate."""
    passed = np.searchsorted(CANDIDATES.astype(p.dtype), p.ravel(), side="left")
    return np.bincount(passed, minlength=len(CANDIDATES) + 1)[::-1].cumsum()[::-1][1:]
