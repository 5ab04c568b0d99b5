"""Label files read as region masks on one common grid, one at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from monai.data import MetaTensor
from monai.transforms import LoadImage, Orientation
from numpy.typing import NDArray

from kd_monai.task import REGIONS, LabelConvention


class LabelFiles(Sequence[NDArray[np.bool_]]):
    """Region masks of entries' label files: read when asked for, none kept.

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
            ValueError: the file's grid is not that of the first one.
        """
        if isinstance(index, slice):
            part = LabelFiles(self.entries[index], self.convention)
            part._grid = self._grid
            return part
        image = self._read(index)
        grid = _grid_of(image)
        self._grid = self._grid or grid
        if grid[0] != self._grid[0] or not np.allclose(grid[1], self._grid[1], rtol=1e-3):
            raise ValueError(
                f"A fixed mask needs all labels on one grid; subject {self.entries[index]['subject']} "
                f"({self.entries[index]['label']}) has {grid[0]} voxels of {grid[1]} mm, others {self._grid[0]} of "
                f"{self._grid[1]}. Resample the labels to one grid, or leave the fixed mask out."
            )
        values = image.numpy()[0]
        return np.stack([np.isin(values, self.convention.regions[region]) for region in REGIONS])

    def _read(self, index: int) -> MetaTensor:
        return self._orient(self._load(self.entries[index]["label"]))


def _grid_of(image: MetaTensor) -> tuple[tuple[int, ...], tuple[float, ...]]:
    return tuple(image.shape[1:]), tuple(round(float(side), 4) for side in image.pixdim)
