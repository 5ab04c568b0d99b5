"""A random healthy brain: ICBM152 tissue maps under a random affine, an elastic warp and a tumour's mass effect."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import map_coordinates

from kd_monai.phantom.grid import Grid, Mask, SmoothField, Volume
from kd_monai.phantom.template import brats_to_mni, load_template


@dataclass(frozen=True)
class Tissues:
    """Tissue fractions on one grid; they sum to 1 within `brain` and are 0 outside.

    Args:
        white, grey, csf: fractions in [0, 1].
        brain: skull-stripping mask.
        depth: 0 at the brain's surface, 1 inside: the blurred mask.
        mni: MNI coordinates in mm, (3, X, Y, Z).
    """

    white: Volume
    grey: Volume
    csf: Volume
    brain: Mask
    depth: Volume
    mni: Volume


class Anatomy:
    """One subject's anatomy, drawn once and evaluated on any grid.

    Args:
        rng: source of all randomness.
        centre_mni: where the tumour will grow, in MNI mm.
        push_mm: radius of the mass effect; tissue within about that distance is pushed outwards.
    """

    def __init__(self, rng: np.random.Generator, centre_mni: npt.NDArray[np.float64], push_mm: float) -> None:
        self.centre_mni, self.push_mm = centre_mni, push_mm
        self.push = rng.uniform(0.2, 0.5)
        angles, scales = rng.normal(0, np.deg2rad(2.0), 3), rng.normal(1.055, 0.02, 3) * rng.normal(1, 0.02)
        shift = rng.normal(0, 1.5, 3)
        skew = np.array([[0, -angles[2], angles[1]], [angles[2], 0, -angles[0]], [-angles[1], angles[0], 0]])
        rotation = np.linalg.solve(np.eye(3) + skew / 2, np.eye(3) - skew / 2)  # Cayley: a rotation for small angles
        pivot = np.array([-119.0, 115.0, 72.0])
        subject = np.eye(4)
        subject[:3, :3] = rotation * scales
        subject[:3, 3] = pivot - subject[:3, :3] @ pivot + shift
        self.world_to_mni = brats_to_mni() @ subject
        self.wide = [SmoothField(rng, 32.0) for _ in range(3)]
        self.fine = [SmoothField(rng, 11.0) for _ in range(3)]
        self.amplitudes_mm = (rng.uniform(1.5, 3.5), rng.uniform(0.7, 1.2))
        # sulci differ between people: noise in the log-odds of the tissues; atrophy is CSF's share of it
        self.folds = [SmoothField(rng, 4.0) for _ in range(3)]
        self.atrophy = float(np.clip(rng.normal(0.5, 0.5), -0.5, 1.5))
        self.stripping = (SmoothField(rng, 14.0), float(rng.uniform(0.45, 0.8)))

    def coordinates(self, grid: Grid) -> Volume:
        """MNI mm of every voxel centre, (3, X, Y, Z)."""
        x, y, z = grid.axes
        world = (-x[:, None, None], 239 - y[None, :, None], z[None, None, :])
        out = np.empty((3, *grid.shape), np.float32)
        for k in range(3):
            row = self.world_to_mni[k].astype(np.float32)
            out[k] = row[0] * world[0] + row[1] * world[1] + row[2] * world[2] + row[3]
            out[k] += self.amplitudes_mm[0] * self.wide[k].on(grid) + self.amplitudes_mm[1] * self.fine[k].on(grid)
        away = out - self.centre_mni.astype(np.float32)[:, None, None, None]
        squared = np.einsum("kxyz,kxyz->xyz", away, away)
        # f(r) = r (1 - push exp(-r^2 / 2 s^2)) is monotonic for push < 1: nothing folds
        out -= away * (self.push * np.exp(-squared / (2 * self.push_mm**2)))
        return out

    def on(self, grid: Grid) -> Tissues:
        """Tissue fractions on `grid`."""
        template = load_template()
        mni = self.coordinates(grid)
        scale, shift = template.mm_to_voxel[:3, :3], template.mm_to_voxel[:3, 3]
        voxels = np.tensordot(scale.astype(np.float32), mni, 1) + shift.astype(np.float32)[:, None, None, None]
        white, grey, depth = (map_coordinates(m, voxels, order=1, output=np.float32) for m in template.maps)
        noise, level = self.stripping
        brain = depth > np.clip(level + 0.12 * noise.on(grid), 0.2, 0.9)
        csf = np.clip(1 - white - grey, 0, 1)
        odds = [
            np.square(np.clip(p, 0.002, 1)) * np.exp(0.75 * fold.on(grid) + bias)
            for p, fold, bias in zip((white, grey, csf), self.folds, (0, 0, self.atrophy), strict=True)
        ]
        total = sum(odds)
        white, grey, csf = ((o / total * brain).astype(np.float32) for o in odds)
        return Tissues(white, grey, csf, brain, depth, mni)
