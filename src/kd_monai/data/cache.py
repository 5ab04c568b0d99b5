"""Cached samples, in memory or on disk."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from filelock import FileLock
from monai.data import Dataset as MonaiDataset

from kd_monai.data.cached import CachedTransforms
from kd_monai.data.disk_cache import DiskCache
from kd_monai.data.entries import Entry
from kd_monai.data.memory_cache import MemoryCache
from kd_monai.data.volume import read_grid
from kd_monai.phases import phase

logger = logging.getLogger(__name__)

MIB = 2**20


def cache_upper_bound(entries: Sequence[Entry], transform: CachedTransforms) -> int:
    """Bytes that the cached samples take at most, from the headers: the voxels before the crop, 2 M + 1 bytes each.

    Without ``half``, 4 M + 1.
    """
    modalities = transform.settings["modalities"]
    spacing_mm = transform.settings["spacing_mm"]
    voxel_bytes = (2 if transform.settings["half"] else 4) * len(modalities) + int(transform.settings["with_label"])
    total = 0
    for entry in entries:
        shape, native_mm = read_grid(entry["image"][modalities[0]])
        sides = np.array(shape, dtype=float)
        if spacing_mm is not None:
            sides = np.ceil((sides - 1) * np.array(native_mm) / np.array(spacing_mm)) + 1
        total += int(sides.prod()) * voxel_bytes
    return total


@phase("caching")
def cache_dataset(
    entries: Sequence[Entry],
    transform: CachedTransforms,
    cache: str = "memory",
    cache_dir: str | Path | None = None,
    workers: int | None = None,
) -> MonaiDataset:
    """Dataset of the entries with the deterministic transforms done once, in memory or in files under ``cache_dir``.

    ``workers`` threads build it, by default as many as there are processors.

    The upper bound in memory is logged before, the real figure after. A sample handed out is the cached one: what
    follows must copy before it writes into it (casting to float32 does).

    Raises:
        ValueError: another kind of cache, or a disk cache without a folder.
    """
    if cache not in ("memory", "disk"):
        raise ValueError(f"CACHE must be memory or disk: got {cache!r}. Correct CACHE.")
    if cache == "disk" and cache_dir is None:
        raise ValueError("a disk cache needs a folder: cache_dir is None. Name one.")
    bound = cache_upper_bound(entries, transform)
    logger.info("Caching %d subjects: at most %.0f MiB (%s)", len(entries), bound / MIB, cache)
    if cache == "memory":
        dataset: MonaiDataset = MemoryCache(entries, transform, workers)
        total = dataset.nbytes
    else:
        folder = Path(cache_dir)  # type: ignore[arg-type]
        dataset = DiskCache(entries, transform, folder, workers)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):  # of several runs that start at once, the first builds for all
            total = dataset.build()
    logger.info(
        "Cached %d subjects: %.0f MiB, %.1f MiB each", len(entries), total / MIB, total / MIB / max(1, len(entries))
    )
    return dataset
