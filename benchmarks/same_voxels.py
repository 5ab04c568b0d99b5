"""The contract of all benchmarks of data: cached voxels of both sides are the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.bundle import ConfigParser
from monai.transforms import Compose, CropForegroundd, Orientationd

import zoo
from kd_monai.config.overlays import SHARED, STUDENT, bundle_scripts, train_files
from kd_monai.data import Datalist, cache_dataset
from kd_monai.data.entries import Entry
from kd_monai.task import MODALITIES
from question import Given, contract

RULE = (
    "same subjects; our cached image equals the zoo's, oriented to RAS and cropped to the brain, to 1e-3 of a value "
    "(float16); our label's regions equal its masks. Named differences: orientation, crop, float16, one uint8 label"
)


def subjects(given: Given, full: int, tiny: int, small: bool = False) -> list[Entry]:
    """Entries of the first subjects, four modalities each."""
    folder = given.small_data if small else given.data
    return Datalist.load(folder, fold="all", check=False).train[: given.pick(full, tiny)]


def shipped_transforms() -> Compose:
    """From a file to what is cached, as the bundles' YAML has it, at the files' own spacing."""
    parser = ConfigParser(ConfigParser.load_config_files(train_files(STUDENT)))
    parser.update({"spacing_mm": None, "label_reader#convention": "brats2018"})
    with bundle_scripts(SHARED):
        transforms: Compose = parser.get_parsed_content("cached_transforms")
    return transforms


def cached(entries: Sequence[Entry], cache: str = "memory", folder: Any = None) -> Any:
    """Our samples, cached."""
    return cache_dataset(entries, MODALITIES, shipped_transforms(), cache, folder)


def check_same(ours: Sequence[dict[str, Any]], theirs: Sequence[dict[str, Any]]) -> None:
    """Compare all cached samples of both sides, one by one; the zoo's may also be loaded only now.

    Raises:
        ContractError: a side lacks a subject, an image or a label, or they differ in more than orientation, crop and
            rounding.
    """
    contract(len(ours) == len(theirs) > 0, "both sides have the same number of subjects", (len(ours), len(theirs)))
    to_ours = Compose(
        [
            Orientationd(zoo.KEYS, axcodes="RAS", labels=None),
            # normalised voxels may be below 0: the brain is what is not 0
            CropForegroundd(zoo.KEYS, source_key="image", select_fn=lambda x: x != 0, allow_smaller=True),
        ]
    )
    for number in range(len(ours)):
        mine, its = ours[number], theirs[number]
        names = [sample.get("subject") for sample in (mine, its)]
        contract(names[0] == names[1] is not None, "both sides hold the same subjects in the same order", names)
        held = [sorted(set(zoo.KEYS) & sample.keys()) for sample in (mine, its)]
        contract(held == [sorted(zoo.KEYS)] * 2, f"both sides hold {' and '.join(zoo.KEYS)} of {names[0]}", held)
        moved = to_ours({key: its[key] for key in zoo.KEYS})
        image, expected = torch.as_tensor(mine["image"]).float(), moved["image"].as_tensor().float()
        contract(image.shape == (len(MODALITIES), *expected.shape[1:]), "same shape", (image.shape, expected.shape))
        error = ((image - expected).abs() / expected.abs().clamp(min=1)).max().item()
        contract(error <= 1e-3, "image voxels equal to 1e-3", error)
        label = torch.as_tensor(mine["label"])[0]
        regions = torch.stack([(label == 1) | (label == 4), label > 0, label == 4])
        contract(torch.equal(regions, moved["label"].as_tensor() > 0), "same regions TC, WT, ET", mine["subject"])
