"""What a scanner makes of an ideal signal: slices, bias field, Rician noise, units."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from kd_monai.phantom.grid import Grid, Mask, SmoothField, Volume


class Scanner:
    """One subject's examination; every modality has its own slices, noise and units.

    Args:
        rng: source of all randomness.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.bias = (SmoothField(rng, 70.0), float(rng.uniform(0.03, 0.07)))
        # some sites store raw values, others scaled ones
        self.units = float(np.exp(rng.uniform(np.log(150), np.log(1200)))) * (10 if rng.random() < 0.15 else 1)

    def acquire(self, signal: Volume, brain: Mask, grid: Grid) -> npt.NDArray[np.int16]:
        """Blur by the slice profile, multiply by the bias field, add Rician noise, scale, round; 0 outside the brain.

        Rician magnitude: |s + n1 + i n2| with n1, n2 normal and, as in resampled data, correlated between neighbours.
        """
        rng = self.rng
        thick_mm = float(rng.choice([1.0, 1.5, 3.0, 5.0], p=[0.35, 0.25, 0.25, 0.15]))
        axis = int(rng.choice([0, 1, 2], p=[0.15, 0.15, 0.7]))
        gamma = float(np.exp(rng.normal(0, 0.05)))
        # a 2 mm voxel is the mean of eight
        level = float(rng.uniform(0.01, 0.034)) / grid.spacing_mm**1.2
        units = self.units * float(np.exp(rng.normal(0, 0.35)))
        residual, strength = SmoothField(rng, 60.0), self.bias[1]
        out = gaussian_filter(signal, 0.45)
        out = gaussian_filter1d(out, thick_mm / 2.355 / grid.spacing_mm, axis=axis)
        out = np.clip(out, 0.02, None) ** gamma
        out *= np.exp(strength * (self.bias[0].on(grid) + 0.7 * residual.on(grid)))
        white = (rng.standard_normal(grid.shape, dtype=np.float32) for _ in range(2))
        # the filter halves the standard deviation: 1.9 restores it
        real, imaginary = (1.9 * level * gaussian_filter(noise, 0.5) for noise in white)
        out = np.hypot(out + real, imaginary)
        # within the brain no voxel is 0, so that a mask of non-zero voxels is the brain
        values = np.clip(np.rint(out * units), 1, 32767)
        return np.where(brain, values, 0).astype(np.int16)
