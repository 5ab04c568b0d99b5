"""Inference sees what training saw."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from bundle_samples import STUDENT, TEACHER, brain, save, save_case
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from shipped import cached_transforms, inference

from kd_monai.config.overlays import inference_files, train_files
from kd_monai.data import items
from kd_monai.export.bundle import inference_settings


@pytest.mark.parametrize("spacing_mm", [None, 4.0, 3.0, 8.0])
@pytest.mark.parametrize("template", [STUDENT, TEACHER], ids=lambda path: path.name)
def test_preprocessing_equals_that_of_training(
    template: Path, spacing_mm: float | None, tmp_path: Path, make_bundle: Callable[..., Path]
) -> None:
    """In float16 as cached, in float32 as scored."""
    case = save_case(tmp_path / "in" / "a")
    parser = inference(make_bundle(template, spacing_mm=[spacing_mm] * 3 if spacing_mm else None))
    parser["dataset_dir"] = str(case)
    inferred = parser.get_parsed_content("dataset")[0]["image"]
    modalities = parser["modalities"]
    entry = {"subject": "a", "image": {name: str(case / f"a_{name}.nii.gz") for name in modalities}}
    for half, dtype in ((True, torch.float16), (False, torch.float32)):
        cached = cached_transforms(spacing_mm=spacing_mm, half=half)(items([entry], modalities)[0])["image"]  # type: ignore[list-item]
        assert cached.dtype == dtype
        np.testing.assert_array_equal(inferred.to(dtype).numpy(), cached.numpy())
        np.testing.assert_allclose(inferred.affine, cached.affine)


@pytest.mark.parametrize("air", [((7, 10), (12, 3), (0, 15)), ((16, 0), (5, 9), (8, 8))])
@pytest.mark.parametrize("spacing_mm", [None, 8.0, 6.0])
def test_air_around_the_brain_changes_nothing(
    air: tuple[tuple[int, int], ...], spacing_mm: float | None, tmp_path: Path, make_bundle: Callable[..., Path]
) -> None:
    parser = inference(make_bundle(spacing_mm=[spacing_mm] * 3 if spacing_mm else None))
    images = []
    for name, image in (("a", brain()), ("b", np.pad(brain(), air))):
        path = save_case(tmp_path / name / name, image) / f"{name}_t1ce.nii.gz"
        images.append(parser.get_parsed_content("preprocessing")({"image": str(path)})["image"])
    assert images[0].shape == images[1].shape
    np.testing.assert_allclose(images[0].numpy(), images[1].numpy(), atol=1e-4)


@pytest.mark.parametrize("template", [STUDENT, TEACHER], ids=lambda path: path.name)
def test_inference_has_the_defaults_of_train(template: Path) -> None:
    train, inferred = ConfigParser(), ConfigParser()
    train.read_config(train_files(template))
    inferred.read_config(inference_files(template))
    assert inference_settings(train) == inference_settings(inferred)


@pytest.mark.parametrize("write", ["label_map", "probabilities"])
def test_around_the_box_of_the_brain_nothing_decides_by_the_sign_of_rounding(
    write: str, tmp_path: Path, make_bundle: Callable[..., Path]
) -> None:
    """Where voxel centres of 1 and 2 mm meet, interpolation across the box's edge would leave up to 1e-5 of a logit."""
    image = np.zeros((61, 61, 61), np.float32)
    image[20:41, 20:41, 20:41] = np.random.default_rng(0).uniform(1, 2, (21, 21, 21))
    path = save(image, tmp_path / "a.nii.gz", np.eye(4))
    parser = inference(make_bundle(spacing_mm=[2.0, 2.0, 2.0]), write=write, check_skull_stripped=False)
    sample = parser.get_parsed_content("preprocessing")({"image": str(path)})
    sample["pred"] = MetaTensor(torch.full((3, *sample["image"].shape[1:]), 50.0), meta=sample["image"].meta)
    invert, output, *_ = parser.get_parsed_content("postprocessing").transforms
    logits = invert(sample)["pred"]
    inside = torch.from_numpy(image[None] > 0).expand(3, -1, -1, -1)
    assert not logits[~inside].any()
    np.testing.assert_allclose(logits[inside], 50.0, rtol=1e-5)
    written = output({**sample, "pred": logits})["pred"]
    assert torch.equal(written.as_tensor() > 0, inside[: len(written)])
