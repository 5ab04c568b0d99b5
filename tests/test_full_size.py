"""Full-size geometry: real 1 mm cases through training steps and through a prediction, file to file."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from tiny import STUDENT, TINY, train

from kd_monai.export.bundle import bundle_of
from kd_monai.export.predict import predict


@pytest.mark.slow
def test_a_real_case_at_1_mm_trains_and_is_segmented_in_its_own_geometry(real_cases: Path, tmp_path: Path) -> None:
    full_size = real_cases.parent / "1mm"
    if not full_size.is_dir():
        pytest.skip(f"{full_size} holds no full-size cases")
    settings = {**TINY, "spacing_mm": 1.0, "roi_size": [96, 96, 96], "n_subjects": 1, "val_fraction": 0.1}
    baseline = STUDENT / "configs" / "methods" / "baseline.yaml"
    run = train(STUDENT, [baseline], {**settings, "dataset_dir": str(full_size), "output_dir": str(tmp_path / "runs")})
    assert run.record["status"] == "FINISHED"

    image = sorted(full_size.glob("*/*/*_t1ce.nii.gz"))[0]
    (label_map,) = predict(bundle_of(run.path), image, tmp_path / "predictions")
    given, written = nib.load(image), nib.load(label_map)
    assert written.shape == given.shape == (240, 240, 155)
    np.testing.assert_allclose(written.affine, given.affine)
    assert set(np.unique(written.dataobj)) <= {0, 1, 2, 3}
