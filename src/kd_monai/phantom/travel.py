"""Travel time of a front through a medium of varying speed."""

from __future__ import annotations

from itertools import product

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

from kd_monai.phantom.grid import Mask, Volume

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
