"""One modality or label, read, oriented and cut to where it is not 0: what a cache keeps of a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import numpy as np
import torch

Box = tuple[tuple[int, ...], tuple[int, ...]]
"""First voxel, and the one behind the last, of a box in a grid."""


def box_of(inside: np.ndarray) -> Box:
    """The smallest box around the true voxels of a mask (H, W, D); an empty one at 0 where there are none.

    >>> box_of(np.eye(4, dtype=bool)[:, :, None] & (np.arange(4) < 3))
    ((0, 0, 0), (4, 4, 3))
    """
    slab = np.any(inside, axis=2)
    lines = (np.any(slab, axis=1), np.any(slab, axis=0), np.any(inside, axis=(0, 1)))
    hits = [np.flatnonzero(line) for line in lines]
    if not hits[0].size:
        return (0,) * 3, (0,) * 3
    return tuple(int(hit[0]) for hit in hits), tuple(int(hit[-1]) + 1 for hit in hits)


def slices(box: Box) -> tuple[slice, ...]:
    """A box as an index."""
    return tuple(slice(start, end) for start, end in zip(*box, strict=True))


class CroppedVolume(NamedTuple):
    """Voxels of one file's one channel on the grid of the samples, without the zeros around them.

    Plain values and tensors only, as a cache file holds them.
    """

    voxels: torch.Tensor
    """(H, W, D) within ``box``: float16 or float32 of an image, uint8 of a label."""
    box: Box
    """Where they lie in the grid: around all that is not 0."""
    foreground: Box
    """Around the voxels above 0: by this the brain is cropped."""
    shape: tuple[int, ...]
    """Of the whole grid."""
    meta: dict[str, Any]
    operations: list[Any]
    """What was done to the whole grid, as MONAI traces it."""

    @classmethod
    def from_plain(cls, content: Mapping[str, Any]) -> Self:
        """From what ``_asdict`` gave."""
        return cls(**content)

    def paste(self, into: torch.Tensor, box: Box) -> None:
        """Write the voxels that lie in a box of the grid into a tensor (H, W, D) of that box, zeros before."""
        start = [max(mine, its) for mine, its in zip(self.box[0], box[0], strict=True)]
        end = [min(mine, its) for mine, its in zip(self.box[1], box[1], strict=True)]
        if all(first < last for first, last in zip(start, end, strict=True)):
            source, target = (
                tuple(slice(a - o, b - o) for a, b, o in zip(start, end, origin, strict=True))
                for origin in (self.box[0], box[0])
            )
            into[target] = self.voxels[source]
