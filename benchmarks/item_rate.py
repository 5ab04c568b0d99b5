"""How fast does a cached sample become a training batch? The shipped augmentation against the model zoo's.

Batches of one through a DataLoader without workers, every subject in turn, the same patch on both sides. The contract:
the cached voxels are the same (same_voxels.py), and batches have the same shape and type. Named differences: ours
centres two patches in three in the tumour, the zoo's lie anywhere; ours makes the regions of the patch, and its batch
has the subject's name for all metadata.
"""

from __future__ import annotations

import time

from monai.bundle import ConfigParser
from monai.data import CacheDataset, DataLoader, Dataset, MetaTensor
from monai.transforms import Compose

import zoo
from kd_monai.config.overlays import SHARED, STUDENT, bundle_scripts, train_files
from kd_monai.task import MODALITIES
from question import Given, answer, contract, in_turn
from row import Reach, Row, Side, faster
from same_voxels import RULE, cached, check_same, subjects


def shipped(cache: CacheDataset, side: int, items: int) -> DataLoader:
    """The student bundle's loader over a cache: its random transforms, its way to a batch."""
    parser = ConfigParser(ConfigParser.load_config_files(train_files(STUDENT)))
    parser.update({"train_samples": cache, "roi_size": [side] * 3, "steps_per_epoch": items, "batch_size": 1})
    with bundle_scripts(SHARED):
        loader: DataLoader = parser.get_parsed_content("train#dataloader")
    return loader


def seconds_a_batch(loader: DataLoader) -> float:
    """Of one pass."""
    start = time.perf_counter()
    count = sum(1 for _ in loader)
    return (time.perf_counter() - start) / count


def _row(given: Given, small: bool) -> Row:
    side = given.pick(64 if small else 128, 32)
    entries = subjects(given, 4, 2, small)
    cache = cached(entries)
    stock = CacheDataset(zoo.entries(entries), zoo.training_transforms([side] * 3), progress=False)
    check_same(cache, Dataset(zoo.entries(entries), Compose(zoo.cached_transforms())))
    items = len(entries) * given.pick(4, 1)
    ours = shipped(cache, side, items)
    theirs = DataLoader(stock, sampler=[index % len(entries) for index in range(items)], batch_size=1)
    mine, its = next(iter(ours)), next(iter(theirs))
    for key, channels in (("image", len(MODALITIES)), ("label", 3)):
        shapes = [tuple(batch[key].shape) for batch in (mine, its)]
        contract(shapes == [(1, channels, side, side, side)] * 2, "batches of the same shape", shapes)
        contract(mine[key].dtype == its[key].dtype, "batches of the same type", (mine[key].dtype, its[key].dtype))
    named = set(mine["subject"]) <= {entry["subject"] for entry in entries}
    contract(named, "our batch names its subject", mine["subject"])
    contract(isinstance(its["image"], MetaTensor), "the zoo's batch has metadata", type(its["image"]))
    rounds = in_turn(lambda: seconds_a_batch(ours), lambda: seconds_a_batch(theirs), rounds=given.pick(5, 2))
    source = mine["image"].clone()
    start = time.perf_counter()
    source.half().float()
    copy = time.perf_counter() - start
    return faster(
        f"Cached sample to batch, {side}^3 at {2 if small else 1} mm",
        Side.of("ours", "s/item", rounds[0]),
        Side.of("zoo", "s/item", rounds[1]),
        rounds,
        reach=Reach("at least", 2.5),
        contract=RULE + "; patches centred in the tumour against anywhere, a subject's name against metadata",
        floor=f"casting a patch to float16 and back: {copy * 1e3:.1f} ms",
        size=given.size,
    )


def measure(given: Given) -> list[Row]:
    """Seconds an item, at full size and at 2 mm."""
    return [_row(given, small) for small in (False, True)]


if __name__ == "__main__":
    answer(measure)
