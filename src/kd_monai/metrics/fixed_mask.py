"""The best segmentation that never looks at an image: what a network has to beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kd_monai.metrics.cases import case_row, cases_frame
from kd_monai.metrics.label_files import LabelFiles
from kd_monai.metrics.region_scores import region_scores
from kd_monai.task import REGIONS, LabelConvention

Regions = NDArray[np.bool_]


def best_fixed_mask(train_labels: Sequence[Regions]) -> Regions:
    """Mean map of the labels, thresholded per region where the mean Dice over these labels is largest.

    With ``c(v)`` the number of labels that hold voxel v, the candidates are ``{v: c(v) >= k}`` for k = 1 .. n, and the
    empty mask (k = n + 1), which is right for every case without the region. All of them are tried, exactly: one
    histogram of c inside each label gives its overlap with every candidate.

    Args:
        train_labels: n labels, bool ``3 H W D`` (TC, WT, ET), on one grid; read twice, one at a time.

    Returns:
        bool ``3 H W D``.

    Raises:
        ValueError: there are no labels.

    Example:
        >>> left, both = (np.broadcast_to(np.array(row) > 0, (3, 1, 1, 2)) for row in ([1, 0], [1, 1]))
        >>> best_fixed_mask([left, left, both])[0].ravel()
        array([ True, False])
    """
    n = len(train_labels)
    if not n:
        raise ValueError("A fixed mask is made of training labels; got none. Give the entries of the training part.")
    counts = np.zeros(train_labels[0].shape, dtype=np.uint16)
    for i in range(n):
        counts += train_labels[i]
    sizes = np.stack([_at_least(region, n) for region in counts])
    dice = np.zeros(sizes.shape)
    for i in range(n):
        for r, (label, count) in enumerate(zip(train_labels[i], counts, strict=True)):
            total = sizes[r] + label.sum()
            overlap = _at_least(count[label], n)
            dice[r] += np.where(total > 0, 2 * overlap / np.maximum(total, 1), 1.0)
    thresholds = 1 + dice.argmax(axis=1)
    return counts >= thresholds[:, None, None, None]


def _at_least(counts: NDArray[np.uint16], n: int) -> NDArray[np.int64]:
    """How many of the counts reach k, for k = 1 .. n + 1."""
    histogram = np.bincount(counts.ravel(), minlength=n + 2)
    return histogram[::-1].cumsum()[::-1][1:]


def fixed_mask_scores(
    train_entries: Sequence[Mapping[str, Any]], test_entries: Sequence[Mapping[str, Any]], convention: LabelConvention
) -> pd.DataFrame:
    """Per-case table of the best fixed mask of the training entries on the test entries.

    Args:
        train_entries, test_entries: ``{"subject", "label": path, "grade"}``; their label files share one grid.
        convention: how the files count their labels.

    Returns:
        As `cases_frame`.

    Raises:
        ValueError: no training entry, or label files on different grids.
    """
    labels = LabelFiles([*train_entries, *test_entries], convention)
    mask = best_fixed_mask(labels[: len(train_entries)])
    rows = []
    for entry, label in zip(test_entries, labels[len(train_entries) :], strict=True):
        empty = {region: not part.any() for region, part in zip(REGIONS, label, strict=True)}
        scores = region_scores(mask, label, labels.spacing_mm)
        rows.append(case_row(entry["subject"], entry.get("grade"), scores, empty, labels.spacing_mm))
    return cases_frame(rows)
