"""How much memory does a cached case take? Ours against the model zoo's order of transforms.

Bytes of all tensors that the caches hold, case by case. The contract: the voxels are the same (same_voxels.py).
"""

from __future__ import annotations

from monai.data import CacheDataset

import zoo
from kd_monai.data.loading import sample_bytes
from question import Given, answer
from row import Reach, Row, Side, costlier, faster
from same_voxels import RULE, cached, check_same, subjects

MIB = 2**20
LIMIT_MIB = 30
COHORT = 285
"""Training subjects of BraTS 2018."""


def measure(given: Given) -> list[Row]:
    """MiB a case of both sides, and the largest of ours against the limit."""
    ours, theirs, brain = [], [], []
    for entry in subjects(given, 8, 2):
        cache = cached([entry])
        stock = CacheDataset(zoo.entries([entry]), zoo.cached_transforms(), progress=False)
        check_same(cache, stock)
        ours.append(sample_bytes(cache[0]) / MIB)
        theirs.append(sum(stock[0][key].nbytes for key in zoo.KEYS) / MIB)
        brain.append(int((cache[0]["image"] != 0).sum()) * 2 / MIB)
    mine, its = Side.of("ours", "MiB/case", ours), Side.of("zoo order", "MiB/case", theirs)
    mean = sum(ours) / len(ours)
    common = {"contract": RULE, "size": given.size}
    floor = f"the brain's own voxels alone, float16: {sum(brain) / len(brain):.1f} MiB (a box is not a brain)"
    limit = Side("limit", "MiB/case", LIMIT_MIB, LIMIT_MIB, LIMIT_MIB)
    return [
        faster(
            "Cached memory of a case, 4 modalities and label", mine, its, (ours, theirs),
            reach=Reach("at least", 5), floor=floor, **common,
        ),
        costlier(
            f"Largest cached case against {LIMIT_MIB} MiB",
            Side.of("largest", "MiB/case", [max(ours)]), limit, ([max(ours)], [LIMIT_MIB]), reach=Reach("at most", 1),
            floor=f"mean {mean:.1f} MiB: {COHORT} cases take {mean * COHORT / 1024:.1f} GiB (9 allowed)", **common,
        ),
    ]  # fmt: skip


if __name__ == "__main__":
    answer(measure)
