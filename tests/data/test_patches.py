"""Patches are, bit for bit, those of MONAI's own transforms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import (
    Compose,
    ConvertToMultiChannelBasedOnBratsClasses,
    RandCropByPosNegLabeld,
    RandScaleIntensityd,
    RandShiftIntensityd,
)

from kd_monai.data import CropIndices, LabelToRegions, RandScaleInPlaced, RandShiftInPlaced
from kd_monai.data.crop_indices import ANYWHERE, TUMOUR


def sample(share: float) -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(1)
    label = (rng.random((1, 13, 11, 9)) < share).astype(np.uint8) * 4
    return {"image": torch.from_numpy(rng.random((2, 13, 11, 9))).half(), "label": torch.from_numpy(label)}


@pytest.mark.parametrize("share", [0, 0.02, 0.5, 1])
@pytest.mark.filterwarnings("ignore:Num foregrounds")
def test_the_same_patches_follow_from_the_same_seed(share: float) -> None:
    keys = ["image", "label"]
    theirs = RandCropByPosNegLabeld(keys, "label", (4, 4, 4), pos=2, neg=1)
    ours = RandCropByPosNegLabeld(
        keys, "label", (4, 4, 4), pos=2, neg=1, fg_indices_key=TUMOUR, bg_indices_key=ANYWHERE
    )
    chain, data = Compose([CropIndices(), ours]), sample(share)
    for seed in range(50):
        theirs.set_random_state(seed)
        ours.set_random_state(seed)
        (expected,), (got,) = theirs(data), chain(data)
        assert set(got) == set(expected)
        assert all(torch.equal(got[key].as_tensor(), expected[key].as_tensor()) for key in keys)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (RandScaleInPlaced("image", factors=0.1, prob=0.7), RandScaleIntensityd("image", factors=0.1, prob=0.7)),
        (RandShiftInPlaced("image", offsets=0.1, prob=0.7), RandShiftIntensityd("image", offsets=0.1, prob=0.7)),
    ],
    ids=["scale", "shift"],
)
def test_in_place_gives_the_same_bits(ours: Any, theirs: Any) -> None:
    image = sample(0)["image"].float()
    for seed in range(20):
        got, expected = (
            transform.set_random_state(seed)({"image": image.clone()})["image"] for transform in (ours, theirs)
        )
        assert torch.equal(got, expected)


def test_regions_are_monais() -> None:
    label = torch.tensor([[[[0, 1, 2, 4]]]], dtype=torch.uint8)
    expected = ConvertToMultiChannelBasedOnBratsClasses(et_label=4)(label).float()
    got = LabelToRegions()({"label": MetaTensor(label, meta={"a": 1})})["label"]
    assert torch.equal(got.as_tensor(), expected)
    assert got.meta["a"] == 1
