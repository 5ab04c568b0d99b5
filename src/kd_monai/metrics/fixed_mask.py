"""The best segmentation that never looks at an image: what a network has to beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from monai.data import MetaTensor
from monai.transforms import LoadImage, Orientation
from numpy.typing import NDArray

from kd_monai.errors import UserError
from kd_monai.metrics.cases import case_row, cases_frame
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
        UserError: label files on different grids.
        ValueError: no training entry.
    """
    labels = LabelFiles([*train_entries, *test_entries], convention)
    mask = best_fixed_mask(labels[: len(train_entries)])
    rows = []
    for entry, label in zip(test_entries, labels[len(train_entries) :], strict=True):
        empty = {region: not part.any() for region, part in zip(REGIONS, label, strict=True)}
        scores = region_scores(mask, label, labels.spacing_mm)
        rows.append(case_row(entry["subject"], entry.get("grade"), scores, empty, labels.spacing_mm))
    return cases_frame(rows)


class LabelFiles(Sequence[Regions]):
    """Region masks of entries' label files, each read when asked for: one in memory at a time.

    Args:
        entries: ``{"subject", "label": path}``.
        convention: how the files count their labels.

    Items are bool ``3 H W D`` (TC, WT, ET), axes right, anterior, superior.
    """

    def __init__(self, entries: Sequence[Mapping[str, Any]], convention: LabelConvention) -> None:
        self.entries, self.convention = list(entries), convention
        self._load, self._orient = (
            LoadImage(image_only=True, ensure_channel_first=True),
            Orientation("RAS", labels=None),
        )
        self._grid: tuple[tuple[int, ...], tuple[float, ...]] | None = None

    @property
    def spacing_mm(self) -> tuple[float, ...]:
        """Voxel sides of the common grid."""
        if self._grid is None:
            self._grid = _grid_of(self._read(0))
        return self._grid[1]

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: Any) -> Any:
        """One entry's masks, or for a slice the files of those entries.

        Raises:
            UserError: the file's grid is not that of the first one.
        """
        if isinstance(index, slice):
            part = LabelFiles(self.entries[index], self.convention)
            part._grid = self._grid
            return part
        image = self._read(index)
        grid = _grid_of(image)
        self._grid = self._grid or grid
        if grid[0] != self._grid[0] or not np.allclose(grid[1], self._grid[1], rtol=1e-3):
            raise UserError(
                f"A fixed mask needs all labels on one grid; subject {self.entries[index]['subject']} "
                f"({self.entries[index]['label']}) has {grid[0]} voxels of {grid[1]} mm, others {self._grid[0]} of "
                f"{self._grid[1]}. Resample the labels to one grid."
            )
        values = image.numpy()[0]
        return np.stack([np.isin(values, self.convention.regions[region]) for region in REGIONS])

    def _read(self, index: int) -> MetaTensor:
        return self._orient(self._load(self.entries[index]["label"]))


def _at_least(counts: NDArray[np.uint16], n: int) -> NDArray[np.int64]:
    """How many of the counts reach k, for k = 1 .. n + 1."""
    histogram = np.bincount(counts.ravel(), minlength=n + 2)
    return histogram[::-1].cumsum()[::-1][1:]


def _grid_of(image: MetaTensor) -> tuple[tuple[int, ...], tuple[float, ...]]:
    return tuple(image.shape[1:]), tuple(round(float(side), 4) for side in image.pixdim)
