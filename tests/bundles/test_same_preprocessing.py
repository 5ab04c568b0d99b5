"""Inference sees what training saw."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from bundle_samples import STUDENT, TEACHER, brain, save_case
from monai.bundle import ConfigParser

from kd_monai.data import cached_transforms


@pytest.mark.parametrize("spacing_mm", [None, 4.0, 3.0])
@pytest.mark.parametrize("template", [STUDENT, TEACHER], ids=lambda path: path.name)
def test_preprocessing_equals_the_cached_transforms(
    template: Path, spacing_mm: float | None, tmp_path: Path, make_bundle: Callable[..., Path]
) -> None:
    case = save_case(tmp_path / "in" / "a")
    bundle = make_bundle(template, spacing_mm=[spacing_mm] * 3 if spacing_mm else None)
    parser = ConfigParser()
    parser.read_config(bundle / "configs" / "inference.yaml")
    parser["dataset_dir"] = str(case)
    inferred = parser.get_parsed_content("dataset")[0]["image"]
    modalities = parser["modalities"]
    entry = {
        "subject": "a",
        "grade": None,
        "image": {m: str(case / f"a_{m}.nii.gz") for m in modalities},
        "label": str(case / "a_seg.nii.gz"),
    }
    for half, dtype in ((True, torch.float16), (False, torch.float32)):  # in training, in evaluate.yaml
        cached = cached_transforms(modalities, spacing_mm=spacing_mm, half=half)(entry)["image"]
        assert cached.dtype == dtype
        np.testing.assert_array_equal(inferred.to(dtype).numpy(), cached.numpy())
        np.testing.assert_allclose(inferred.affine, cached.affine)


@pytest.mark.parametrize("air", [((0, 0), (0, 0), (0, 0)), ((7, 10), (12, 3), (0, 15)), ((16, 0), (5, 9), (8, 8))])
@pytest.mark.parametrize("spacing_mm", [8.0, 12.0, 6.0, 8.003])  # two and three voxels, and no whole number of them
def test_resampling_the_brain_alone_changes_rounding_and_no_box(
    air: tuple[tuple[int, int], ...], spacing_mm: float, tmp_path: Path, make_bundle: Callable[..., Path]
) -> None:
    case = save_case(tmp_path / "in" / "a", np.pad(brain(), air))
    parser = ConfigParser()
    parser.read_config(make_bundle(spacing_mm=[spacing_mm] * 3) / "configs" / "inference.yaml")
    parser["dataset_dir"] = str(case)
    inferred = parser.get_parsed_content("dataset")[0]["image"]
    entry = {"subject": "a", "grade": None, "image": {"t1ce": str(case / "a_t1ce.nii.gz")}, "label": ""}
    whole = cached_transforms("t1ce", spacing_mm=spacing_mm, half=False, with_label=False)(entry)["image"]
    np.testing.assert_allclose(inferred.affine, whole.affine, atol=1e-4)
    np.testing.assert_allclose(inferred.numpy(), whole.numpy(), atol=1e-3)
    (resampled,) = (done["orig_size"][0] for done in inferred.applied_operations if done["class"] == "SpatialResample")
    assert (resampled < sum(air[0]) + 30) == (spacing_mm in (8, 12) and sum(air[0]) > 0)  # the air was left out


@pytest.mark.parametrize("template", [STUDENT, TEACHER], ids=lambda path: path.name)
def test_inference_has_the_defaults_of_train(template: Path) -> None:
    train, inference = ConfigParser(), ConfigParser()
    train.read_config(template / "configs" / "train.yaml")
    inference.read_config(template / "configs" / "inference.yaml")
    from kd_monai.export.bundle import inference_settings

    assert inference_settings(train) == inference_settings(inference)
