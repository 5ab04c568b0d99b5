"""Regions come last, from whatever the random transforms of a recipe leave of the label."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from monai import transforms as mt
from monai.bundle import ConfigParser
from monai.bundle.utils import merge_kv
from monai.data import MetaTensor
from monai.transforms import Compose, ConvertToMultiChannelBasedOnBratsClasses
from shipped import shipped
from torch.utils.data import Dataset

from kd_monai.config.overlays import STUDENT, train_files
from kd_monai.data import LabelToRegions, SeededDataset
from kd_monai.data.augmentation import Braind
from kd_monai.errors import UserError

BOTH = ["image", "label"]
MODES = {"mode": ["bilinear", "nearest"]}


class OneSubject(Dataset):
    """A sample as a cache holds it."""

    def __init__(self, meta: bool = False) -> None:
        rng = np.random.default_rng(0)
        label = np.zeros((1, 20, 22, 24), np.uint8)
        label[0, 6:14, 6:14, 6:14] = rng.choice([1, 2, 4], (8, 8, 8))
        image = torch.from_numpy(rng.normal(size=(4, 20, 22, 24))).half()
        self.sample = {"image": image, "label": torch.from_numpy(label)}
        if meta:
            self.sample = {key: MetaTensor(value, affine=torch.eye(4)) for key, value in self.sample.items()}

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {**self.sample, "subject": "S"}


SPATIAL: list[tuple[str, Any]] = [
    ("RandAffined", {"rotate_range": 0.5, "scale_range": 0.2, "padding_mode": "zeros", **MODES}),
    ("Rand3DElasticd", {"sigma_range": (1, 2), "magnitude_range": (5, 9), "padding_mode": "zeros", **MODES}),
    ("RandZoomd", {"min_zoom": 0.8, "max_zoom": 1.2, "mode": ["area", "nearest"]}),
    ("RandRotated", {"range_x": 0.5, "padding_mode": "zeros", **MODES}),
    ("RandRotate90d", {}),
    ("RandFlipd", {}),
    ("RandAxisFlipd", {}),
    ("RandSpatialCropd", {"roi_size": (12, 12, 12), "random_size": False}),
    ("RandCoarseDropoutd", {"holes": 3, "spatial_size": 4, "fill_value": 0}),
    ("RandGridDistortiond", {"distort_limit": 0.1, "padding_mode": "zeros", **MODES}),
]
INTENSITY: list[tuple[str, Any]] = [
    ("RandGaussianNoised", {}),
    ("RandGaussianSmoothd", {}),
    ("RandHistogramShiftd", {"num_control_points": 5}),
    ("RandAdjustContrastd", {}),
    ("RandBiasFieldd", {}),
    ("RandGibbsNoised", {}),
    ("RandCoarseShuffled", {"holes": 2, "spatial_size": 3}),
]


def augmented(name: str, keys: Any, options: dict[str, Any], meta: bool) -> dict[str, Any]:
    transform = getattr(mt, name)(keys, prob=1.0, **options) if name != "RandSpatialCropd" else None
    transform = transform or mt.RandSpatialCropd(keys, **options)
    float32 = mt.CastToTyped("image", dtype=torch.float32)
    return SeededDataset(OneSubject(meta), Compose([float32, transform, LabelToRegions()]))[0]


@pytest.mark.parametrize("meta", [False, True])
@pytest.mark.parametrize(("name", "options"), SPATIAL, ids=[name for name, _ in SPATIAL])
def test_every_spatial_transform_leaves_nested_regions(name: str, options: dict[str, Any], meta: bool) -> None:
    sample = augmented(name, BOTH, options, meta)
    core, whole, enhancing = sample["label"]
    assert sample["label"].dtype == torch.float32
    assert sample["label"].shape[1:] == sample["image"].shape[1:]
    assert set(sample["label"].unique().tolist()) <= {0.0, 1.0}
    assert bool((enhancing <= core).all() and (core <= whole).all())
    assert bool(whole.any())


@pytest.mark.parametrize("meta", [False, True])
@pytest.mark.parametrize(("name", "options"), INTENSITY, ids=[name for name, _ in INTENSITY])
def test_every_intensity_transform_leaves_the_label_alone(name: str, options: dict[str, Any], meta: bool) -> None:
    sample = augmented(name, "image", options, meta)
    expected = LabelToRegions()(OneSubject()[0])["label"]
    assert torch.equal(torch.as_tensor(sample["label"]), expected)
    assert sample["image"].isfinite().all()


@pytest.mark.parametrize(
    ("name", "keys", "options"),
    [
        ("RandAffined", BOTH, {"rotate_range": 0.5, "mode": "bilinear"}),
        ("RandGaussianNoised", BOTH, {}),
        ("RandZoomd", "image", {"min_zoom": 1.2, "max_zoom": 1.2, "keep_size": False}),
    ],
)
def test_a_transform_that_spoils_the_label_is_named(name: str, keys: Any, options: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=f"{name} in train#random_transforms"):
        augmented(name, keys, options, False)


def test_a_label_that_is_no_number_makes_no_regions() -> None:
    label = torch.tensor([[[[0.0, float("nan"), 2.0]]]])
    with pytest.raises(UserError, match="whole numbers"):
        LabelToRegions()({"label": label})


def test_what_a_recipe_appends_comes_before_the_regions() -> None:
    parser = ConfigParser(ConfigParser.load_config_files(train_files(STUDENT)))
    affine = {"_target_": "RandAffined", "keys": BOTH, "prob": 1.0, "rotate_range": 0.5, **MODES}
    merge_kv(parser, "+train#random_transforms#transforms", [affine])
    parser["roi_size"] = [16, 16, 16]
    transforms = parser.get_parsed_content("train#dataset#random_transform").flatten().transforms
    names = [type(part).__name__ for part in transforms]
    assert names[-2:] == ["RandAffined", "LabelToRegions"]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int64, torch.float16, torch.float32, torch.float64])
def test_regions_are_monais_whatever_the_labels_type(dtype: torch.dtype) -> None:
    label = torch.tensor([[[[0, 1, 2, 4]]]], dtype=torch.uint8)
    expected = ConvertToMultiChannelBasedOnBratsClasses(et_label=4)(label).float()
    regions = LabelToRegions()({"label": MetaTensor(label.to(dtype), meta={"a": 1})})["label"]
    assert torch.equal(regions.as_tensor(), expected)
    assert regions.meta["a"] == 1


def test_the_shipped_transforms_give_a_patch_and_its_regions() -> None:
    sample = SeededDataset(OneSubject(), shipped("train#dataset#random_transform", roi_size=[16, 24, 16]))[0]
    sample = sample[0] if isinstance(sample, list) else sample
    assert sample["image"].shape == (4, 16, 24, 16)
    assert sample["label"].shape == (3, 16, 24, 16)
    assert sample["image"].dtype == sample["label"].dtype == torch.float32


def test_the_stream_of_random_numbers_does_not_depend_on_the_number_of_sequences() -> None:
    """Every method, and its baseline, sees the same patches."""
    four, one = OneSubject(), OneSubject()
    one.sample["image"] = one.sample["image"][1:2]
    images = []
    for subjects in (four, one):
        sample = SeededDataset(subjects, shipped("train#dataset#random_transform", roi_size=[16, 16, 16]))[0]
        images.append((sample[0] if isinstance(sample, list) else sample)["image"])
    assert torch.equal(images[0][1:2], images[1])


def test_the_brain_is_what_is_not_zero_in_any_sequence() -> None:
    image = MetaTensor(torch.tensor([[[[0.0, 1.0, 0.0]]], [[[0.0, 0.0, -2.0]]]]))
    assert Braind("image")({"image": image})["brain"].flatten().tolist() == [0, 1, 1]
