"""What resembles a tumour and is none: enhancing vessels and white-matter hyperintensities."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from kd_monai.phantom.anatomy import Tissues
from kd_monai.phantom.grid import Grid, SmoothField, Volume


class LookAlikes:
    """Membership maps of vessels and hyperintensities, drawn once per subject.

    Args:
        rng: source of all randomness.
        atrophy: the anatomy's CSF bias; hyperintensities grow with it, as both do with age.
    """

    def __init__(self, rng: np.random.Generator, atrophy: float) -> None:
        self.vessel_fields = (SmoothField(rng, 10.0), SmoothField(rng, 10.0))
        self.patches = SmoothField(rng, 6.0)
        self.load = float(np.clip(0.4 + 0.5 * (atrophy - 0.5) + 0.35 * rng.standard_normal(), 0, 1.5))
        self.vessel_load = float(rng.uniform(0.5, 1.3))

    def vessels(self, grid: Grid, tissues: Tissues) -> Volume:
        """Vessels in [0, 1]: curves where two smooth fields are both zero, near CSF and cortex, and the sinus."""
        first, second = (field.on(grid) for field in self.vessel_fields)
        radius = 0.17 * self.vessel_load
        curves = np.exp(-(first**2 + second**2) / (2 * radius**2))
        where = np.clip(tissues.csf * 1.3 + 0.3 * tissues.grey + 0.04, 0, 1)
        x, y, z = tissues.mni
        edge = 1 - gaussian_filter(tissues.brain.astype(np.float32), 4.0 / grid.spacing_mm)
        sinus = np.exp(-(x**2) / 10) * np.clip(4 * edge - 0.8, 0, 1) * ((z > 30) | (y < -60))
        return (np.maximum(curves * where, 0.8 * self.vessel_load * sinus) * tissues.brain).astype(np.float32)

    def hyperintensities(self, grid: Grid, tissues: Tissues) -> Volume:
        """Hyperintensities in [0, 1]: a rim around the ventricles and patches in deep white matter."""
        x, y, z = tissues.mni
        deep = (np.abs(x) < 40) & (y > -75) & (y < 45) & (z > -8) & (z < 38)
        ventricles = tissues.csf * (tissues.depth > 0.97) * deep * (np.abs(x) < 32)
        rim = np.clip(gaussian_filter(ventricles, 2.5 / grid.spacing_mm) * 4 - 0.2, 0, 1)
        patches = self.patches.on(grid)
        rim = rim * np.clip(0.7 + 0.4 * patches, 0, 1) * min(self.load + 0.25, 1)
        spots = 1 / (1 + np.exp(-(patches - 3.0 + 0.6 * self.load) / 0.12)) * (self.load > 0)
        near = gaussian_filter(tissues.white, 2.0 / grid.spacing_mm)
        return (np.maximum(rim, spots * np.clip(near * 2 - 0.9, 0, 1)) * tissues.white).astype(np.float32)
