"""The voxel grids of the phantom, and smooth random fields that are the same on each of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Volume = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

# what of the 240 x 240 x 155 grid a brain can reach, in 1 mm voxels; sides divisible by 2 and 3
_START_MM = (36, 24, 0)
_SIDES_MM = (168, 204, 150)
_FULL_MM = (240, 240, 156)


@dataclass(frozen=True)
class Grid:
    """A cubic lattice over the part of the BraTS grid that a brain can reach.

    Positions are in "grid mm": the voxel index of the 1 mm BraTS grid, so that grids of any spacing share one frame.

    Args:
        spacing_mm: voxel side, a divisor of 6.
    """

    spacing_mm: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Sides in voxels."""
        x, y, z = (side // self.spacing_mm for side in _SIDES_MM)
        return x, y, z

    @property
    def axes(self) -> tuple[Volume, Volume, Volume]:
        """Positions of the voxel centres along each axis, in grid mm."""
        x, y, z = (
            (start + self.spacing_mm * np.arange(n) + (self.spacing_mm - 1) / 2).astype(np.float32)
            for start, n in zip(_START_MM, self.shape, strict=True)
        )
        return x, y, z

    @property
    def voxel_cc(self) -> float:
        """Volume of one voxel in millilitres."""
        return self.spacing_mm**3 / 1000

    @property
    def full_shape(self) -> tuple[int, int, int]:
        """Sides of the whole BraTS grid at this spacing: 240 x 240 x 155 at 1 mm, 120 x 120 x 78 at 2 mm."""
        x, y, z = (side // self.spacing_mm for side in _FULL_MM)
        return x, y, (155 if self.spacing_mm == 1 else z)

    @property
    def affine(self) -> npt.NDArray[np.float64]:
        """Voxel index to world mm as in BraTS 2018: x runs to the left, y to the back, from (0, 239, 0)."""
        step, shift = float(self.spacing_mm), (self.spacing_mm - 1) / 2
        matrix = np.diag([-step, -step, step, 1.0])
        matrix[:3, 3] = (-shift, 239 - shift, shift)
        return matrix

    def embed(self, values: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """Put an array of this grid's shape into the whole BraTS grid, zero elsewhere."""
        full = np.zeros(self.full_shape, values.dtype)
        x, y, z = (start // self.spacing_mm for start in _START_MM)
        nx, ny, nz = values.shape
        full[x : x + nx, y : y + ny, z : z + nz] = values
        return full


# mean over positions of the sum of squared cubic B-spline weights
_SPLINE_POWER = 151 / 315


def spline_weights(positions_mm: Volume, scale_mm: float, n_nodes: int) -> Volume:
    """Weights (positions, nodes) of a uniform cubic B-spline whose node k stands at `(k - 1) * scale_mm`."""
    nodes = (np.arange(n_nodes, dtype=np.float32) - 1) * scale_mm
    d = np.abs(positions_mm[:, None] - nodes[None]) / scale_mm
    return np.where(d < 1, 2 / 3 - d**2 + d**3 / 2, np.where(d < 2, (2 - d) ** 3 / 6, 0)).astype(np.float32)


class SmoothField:
    """Gaussian random field of mean 0 and variance 1 about as smooth as a Gaussian of sigma `0.6 * scale_mm`.

    Its random numbers sit on a lattice fixed in space, and it is evaluated anywhere by cubic B-splines:
    f(x) = sum_k w_k(x) n_k. A subject has therefore the same anatomy at 1 mm and at 2 mm.

    Args:
        rng: source of the lattice's numbers; they are all drawn here.
        scale_mm: distance between lattice nodes.
    """

    def __init__(self, rng: np.random.Generator, scale_mm: float) -> None:
        self.scale_mm = scale_mm
        sides = [int(np.ceil(side / scale_mm)) + 3 for side in _FULL_MM]
        self.nodes: npt.NDArray[np.float32] = rng.standard_normal(sides, dtype=np.float32)

    def on(self, grid: Grid) -> Volume:
        """Values at the voxel centres of `grid`."""
        out = self.nodes
        for axis, positions in enumerate(grid.axes):
            weights = spline_weights(positions, self.scale_mm, self.nodes.shape[axis]) / np.sqrt(_SPLINE_POWER)
            # the axis just resampled goes last: after three turns the order is x, y, z again
            out = np.tensordot(out, weights.astype(np.float32), axes=(0, 1))
        return out
