"""Around the brain's box nothing decides by the sign of rounding, in an evaluation and in a prediction alike."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import Compose, CropForegroundd, Invertd, Spacingd

from kd_monai.config.overlays import STUDENT, TEACHER
from kd_monai.networks import without_rim


def rim_of_box() -> torch.Tensor:
    """Logits of 50 in a box of 2 mm voxels, inverted to the 1 mm grid of an image whose brain ends where grids meet."""
    image = torch.zeros(1, 61, 61, 61)
    image[:, 20:41, 20:41, 20:41] = 1
    forward = Compose(
        [
            Spacingd("image", pixdim=[2.0, 2.0, 2.0], mode="bilinear", dtype=np.float32),
            CropForegroundd("image", "image"),
        ]
    )
    sample = forward({"image": MetaTensor(image, affine=torch.eye(4))})
    sample["pred"] = MetaTensor(torch.full((3, *sample["image"].shape[1:]), 50.0), meta=sample["image"].meta)
    return Invertd("pred", forward, "image", nearest_interp=False)(sample)["pred"].as_tensor()


def test_what_rounding_leaves_around_the_box_is_zero_again() -> None:
    logits = rim_of_box()
    logits[:, 0, 0, 0] = 50e-5  # whatever the processor's rounding leaves
    rim = (logits != 0) & (logits.abs() < 1e-2)
    mended = without_rim(logits)
    assert not mended[rim].any()
    torch.testing.assert_close(mended[~rim], logits[~rim], rtol=0, atol=0)


def test_a_voxel_with_one_channel_near_zero_was_looked_at() -> None:
    logits = torch.tensor([[3.0, 0.0], [1e-6, 0.0], [-2.0, 1e-6]]).reshape(3, 2, 1, 1)
    torch.testing.assert_close(without_rim(logits)[:, 0], logits[:, 0], rtol=0, atol=0)
    assert not without_rim(logits)[:, 1].any()


@pytest.mark.parametrize("template", [STUDENT, TEACHER], ids=lambda path: path.name)
def test_the_bundles_do_the_same(template) -> None:
    parser = ConfigParser()
    parser.read_config(template / "configs" / "inference.yaml")
    in_the_bundle = parser.get_parsed_content("without_rim")
    for bad in (float("inf"), float("nan")):
        for without in (in_the_bundle, without_rim):
            with pytest.raises((AssertionError, ValueError), match="output must be finite"):
                without(MetaTensor(torch.tensor([1.0, bad]).reshape(1, 2, 1, 1)))
    for logits in (rim_of_box(), torch.zeros(3, 2, 2, 2), torch.randn(4, 5, 6, 7)):
        torch.testing.assert_close(
            in_the_bundle(MetaTensor(logits.clone())).as_tensor(), without_rim(logits), rtol=0, atol=0
        )
