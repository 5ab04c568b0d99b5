"""Inference sees what training saw."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from bundle_samples import STUDENT, TEACHER, save_case
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


@pytest.mark.parametrize("template", [STUDENT, TEACHER], ids=lambda path: path.name)
def test_inference_has_the_defaults_of_train(template: Path) -> None:
    train, inference = ConfigParser(), ConfigParser()
    train.read_config(template / "configs" / "train.yaml")
    inference.read_config(template / "configs" / "inference.yaml")
    from kd_monai.study.export_settings import inference_settings

    assert inference_settings(train) == inference_settings(inference)
