"""Smooth random fields that are the same at every voxel spacing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kd_monai.phantom.grid import _FULL_MM, Grid, Volume

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
