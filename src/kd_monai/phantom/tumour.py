"""A glioma grown in white matter: nested, irregular enhancing rim, core and oedema."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

from kd_monai.phantom.anatomy import Tissues
from kd_monai.phantom.grid import Grid, Mask, SmoothField, Volume

Grade = Literal["HGG", "LGG"]
CORE, OEDEMA, ENHANCING = 1, 2, 4


@dataclass(frozen=True)
class Sizes:
    """Target volumes in millilitres: whole tumour, tumour core, enhancing tumour."""

    whole_cc: float
    core_cc: float
    enhancing_cc: float


def draw_sizes(rng: np.random.Generator, grade: Grade) -> Sizes:
    """Draw volumes spread like those of n = 22 real BraTS 2018 cases at 2 mm.

    HGG: median 70 ml, half of it core, two thirds of that enhancing. LGG: median 150 ml, half of it core, and at most a
    few millilitres enhancing: none at all in three of ten.
    """
    median, spread = (70.0, 0.62) if grade == "HGG" else (145.0, 0.55)
    whole = float(np.clip(median * np.exp(spread * rng.standard_normal()), 18, 240))
    core = whole * float(np.clip(rng.normal(0.46, 0.2), 0.06, 0.78))
    share = float(np.clip(rng.normal(0.65, 0.15), 0.25, 0.9))
    nodule = float(np.clip(1.3 * np.exp(0.7 * rng.standard_normal()), 0.25, 6.0))
    if grade == "HGG":
        return Sizes(whole, core, core * share)
    return Sizes(whole, core, 0.0 if rng.random() < 0.3 else min(nodule, 0.2 * core))


@dataclass(frozen=True)
class Parts:
    """The tumour on one grid.

    Args:
        label: BraTS 2018 values 0, 1 (core), 2 (oedema), 4 (enhancing), uint8.
        whole, core, enhancing: soft memberships in [0, 1], nested, for partial volume at the borders.
        depth_mm: distance from the core's border inwards, 0 outside.
    """

    label: npt.NDArray[np.uint8]
    whole: Volume
    core: Volume
    enhancing: Volume
    depth_mm: Volume


class Tumour:
    """Grows on a coarse 3 mm grid, so that a subject has the same tumour at every spacing.

    The core spreads from its seed at a speed that depends on the tissue, the oedema from the core along white matter
    almost alone; both speeds vary at random, which makes lobes and fingers. Thresholds on the travel times are set
    to meet the target volumes.

    Args:
        rng: source of all randomness.
        grade: "HGG" (enhancing rim around a necrotic core) or "LGG" (little or no enhancement).
        sizes: target volumes.
        centre_mni: seed in MNI mm.
        tissues: the subject's tissues on `coarse`.
        coarse: the growth grid.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        grade: Grade,
        sizes: Sizes,
        centre_mni: npt.NDArray[np.float64],
        tissues: Tissues,
        coarse: Grid,
    ) -> None:
        self.grade, self.sizes, self.coarse = grade, sizes, coarse
        lobes, fingers = SmoothField(rng, 14.0), SmoothField(rng, 18.0)
        self.rough = SmoothField(rng, 5.0)
        self.texture = SmoothField(rng, 7.0)
        self.rim = SmoothField(rng, 9.0)
        self.hand = SmoothField(rng, 6.0)
        self.infiltration_mm = float(rng.uniform(1.0, 2.5))
        distance = np.linalg.norm(tissues.mni - centre_mni.astype(np.float32)[:, None, None, None], axis=0)
        seed = np.zeros(coarse.shape, bool)
        seed.flat[int(np.argmin(distance + 100 * (tissues.white < 0.5)))] = True
        speed = np.clip(tissues.white + 0.75 * tissues.grey + 0.12 * tissues.csf, 0.05, 1)
        speed = speed * np.exp(0.32 * lobes.on(coarse))
        self.core_mm = travel_time(speed, seed, tissues.brain, coarse.spacing_mm, 90.0)
        core = self.core_mm <= _threshold(self.core_mm, tissues.brain, sizes.core_cc / coarse.voxel_cc)
        speed = np.clip(tissues.white + 0.22 * tissues.grey + 0.03 * tissues.csf, 0.03, 1)
        speed = speed * np.exp(0.75 * fingers.on(coarse))
        self.oedema_mm = travel_time(speed, core, tissues.brain, coarse.spacing_mm, 150.0)

    def on(self, grid: Grid, tissues: Tissues) -> Parts:
        """Label and soft memberships on `grid`, whose tissues are given."""
        rough = self.rough.on(grid)
        core_mm = _resample(self.core_mm, self.coarse, grid) + 1.2 * rough
        core_at = _threshold(core_mm, tissues.brain, self.sizes.core_cc / grid.voxel_cc)
        core = _sigmoid((core_at - core_mm) / 0.8) * tissues.brain
        hard_core = (core_mm <= core_at) & tissues.brain

        oedema_mm = _resample(self.oedema_mm, self.coarse, grid) + 2.0 * rough
        free = tissues.brain & (tissues.csf < 0.5)
        oedema_mm = np.where(hard_core, -1.0, np.where(free, np.maximum(oedema_mm, 0), np.inf)).astype(np.float32)
        whole_at = _threshold(oedema_mm, tissues.brain, self.sizes.whole_cc / grid.voxel_cc)
        seen = np.where(np.isfinite(oedema_mm), oedema_mm, 1e3)
        whole = np.maximum(core, _sigmoid((whole_at - seen) / self.infiltration_mm) * tissues.brain)
        # the annotator's border wanders about the true one
        drawn = (oedema_mm + 0.8 * self.hand.on(grid) <= whole_at) | hard_core

        enhancing, hard_enhancing = self._enhancement(grid, core_mm - core_at, hard_core)
        label = np.zeros(grid.shape, np.uint8)
        label[drawn & tissues.brain] = OEDEMA
        label[hard_core] = CORE
        label[hard_enhancing] = ENHANCING
        depth_mm = np.clip(core_at - core_mm, 0, None).astype(np.float32)
        return Parts(label, whole, core, np.minimum(enhancing, core), depth_mm)

    def _enhancement(self, grid: Grid, outside_mm: npt.NDArray[np.floating[Any]], core: Mask) -> tuple[Volume, Mask]:
        """Soft and hard enhancing tumour; `outside_mm` is negative within the core."""
        if self.sizes.enhancing_cc == 0:
            return np.zeros(grid.shape, np.float32), np.zeros(grid.shape, bool)
        if self.grade == "HGG":  # a rim of varying thickness, with gaps, and islands inside
            width = 0.7
            score = np.abs(outside_mm + 0.8) * np.exp(-0.45 * self.rim.on(grid)) - 1.5 * self.texture.on(grid)
        else:  # a few nodules
            width = 0.4
            score = -6.0 * self.rim.on(grid) - 2.0 * self.texture.on(grid)
        at = _threshold(score, core, self.sizes.enhancing_cc / grid.voxel_cc)
        return _sigmoid((at - score) / width), (score <= at) & core


def _threshold(values: Volume, within: Mask, n_voxels: float) -> float:
    """The value that `n_voxels` of the voxels in `within` do not exceed (the largest finite one if there are fewer)."""
    inside = values[within]
    inside = inside[np.isfinite(inside)]
    rank = int(np.clip(round(n_voxels), 1, inside.size)) - 1
    return float(np.partition(inside, rank)[rank])


def _sigmoid(values: npt.NDArray[np.floating[Any]]) -> Volume:
    return (1 / (1 + np.exp(-np.clip(values, -30, 30)))).astype(np.float32)


def _resample(values: Volume, source: Grid, target: Grid) -> Volume:
    """Linear interpolation between two grids; unreached (infinite) times count as far away."""
    finite = np.where(np.isfinite(values), values, 400).astype(np.float32)
    for axis, (wanted, have) in enumerate(zip(target.axes, source.axes, strict=True)):
        position = np.clip((wanted - have[0]) / source.spacing_mm, 0, len(have) - 1)
        low = np.minimum(position.astype(int), len(have) - 2)
        part = (position - low).astype(np.float32).reshape([-1 if k == axis else 1 for k in range(3)])
        finite = np.take(finite, low, axis) * (1 - part) + np.take(finite, low + 1, axis) * part
    return finite


# one of each pair of opposite directions among the 26 neighbours
_STEPS = [step for step in product((-1, 0, 1), repeat=3) if step > (0, 0, 0)]


def travel_time(speed: Volume, start: Mask, within: Mask, spacing_mm: float, limit_mm: float) -> Volume:
    """Shortest travel time from any voxel of `start`, along paths between 26-neighbours inside `within`.

    A step of length d between voxels of speeds a and b takes d (1/a + 1/b) / 2.

    Args:
        speed: positive speeds, 1 for a front that needs 1 unit of time per mm.
        start: voxels of time 0.
        within: voxels that the front may enter.
        spacing_mm: voxel side.
        limit_mm: times beyond this are not computed.

    Returns:
        Times, infinite where the front does not arrive.
    """
    number = np.full(speed.shape, -1, np.int32)
    number[within] = np.arange(np.count_nonzero(within), dtype=np.int32)
    slowness = (1 / speed).astype(np.float32)
    rows, columns, costs = [], [], []
    for step in _STEPS:
        here = tuple(slice(max(0, -s), n - max(0, s)) for s, n in zip(step, speed.shape, strict=True))
        there = tuple(slice(max(0, s), n - max(0, -s)) for s, n in zip(step, speed.shape, strict=True))
        both = (number[here] >= 0) & (number[there] >= 0)
        length = spacing_mm * float(np.linalg.norm(step))
        rows.append(number[here][both])
        columns.append(number[there][both])
        costs.append(length * (slowness[here][both] + slowness[there][both]) / 2)
    n = int(number.max()) + 1
    graph = coo_array((np.concatenate(costs), (np.concatenate(rows), np.concatenate(columns))), (n, n)).tocsr()
    sources = number[start & within]
    times = dijkstra(graph, directed=False, indices=sources, min_only=True, limit=limit_mm)
    out = np.full(speed.shape, np.inf, np.float32)
    out[within] = times
    return out
