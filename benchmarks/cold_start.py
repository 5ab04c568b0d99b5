"""How long does caching take on the first day? Ours against LoadImaged, CacheDataset's defaults and the zoo's order.

Both read the same files in turn into memory; the files are in the page cache. The contract: same_voxels.py.
"""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from isal import igzip
from monai.data import CacheDataset

import zoo
from question import Given, answer, in_turn
from row import Reach, Row, Side, faster, machine
from same_voxels import RULE, cached, check_same, subjects


def measure(given: Given) -> list[Row]:
    """Seconds a case."""
    entries = subjects(given, 8, 2)

    def timed(build: Callable[[], Any]) -> Callable[[], float]:
        def run() -> float:
            start = time.perf_counter()
            build()
            return (time.perf_counter() - start) / len(entries)

        return run

    def theirs() -> CacheDataset:
        return CacheDataset(zoo.entries(entries), zoo.cached_transforms(), progress=False)

    check_same(cached(entries), theirs())
    rounds = in_turn(timed(lambda: cached(entries)), timed(theirs), rounds=given.pick(3, 1))
    files = [Path(path).read_bytes() for entry in entries for path in [*entry["image"].values(), entry["label"]]]
    packed = [content for content in files if content[:2] == b"\x1f\x8b"]
    isal, zlib = (
        timed(lambda d=unpack: [d(content) for content in packed])() for unpack in (igzip.decompress, gzip.decompress)
    )
    ours = Side.of("ours", "s/case", rounds[0])
    stock = Side.of("LoadImaged + CacheDataset", "s/case", rounds[1])
    cores = machine()["cores"]
    return [
        faster(
            f"Cold start: caching {len(entries)} cases",
            ours,
            stock,
            rounds,
            reach=Reach("at least", 2),
            contract=RULE,
            floor=f"gunzipping a case: isal {isal:.3f} s, {isal / cores / ours.median:.0%} of ours over {cores} cores; "
            f"zlib {zlib:.3f} s, {zlib / stock.median:.0%} of theirs",
            size=given.size,
        )
    ]


if __name__ == "__main__":
    answer(measure)
