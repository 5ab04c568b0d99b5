from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
from kd_monai.report.compare import compare
from kd_monai.report.scores_text import scores_text

from kd_monai.metrics import METRICS, case_row, cases_frame, read_cases, write_cases
from kd_monai.report.fixed_mask import write_fixed_mask
from kd_monai.report.pooled import pool_runs
from kd_monai.runs.read import EvaluatedRun
from kd_monai.task import LABEL_CONVENTIONS, REGIONS

RECORD = {
    "role": "student", "method": "kdnet", "modality": "t1ce", "fold": 0, "seed": 3, "data_digest": "d",
    "split_digest": "s", "labels": "brats2018", "recipe": "quick",
}  # fmt: skip


def evaluated_student(out: Path, dice: float) -> Path:
    folder = out / "kdnet_t1ce-fold0"
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps(RECORD))
    (folder / "config.yaml").write_text("n_subjects: 3\n")
    scores = {metric: dict.fromkeys(REGIONS, dice) for metric in METRICS}
    rows = [case_row(name, None, scores, dict.fromkeys(REGIONS, False), (1, 1, 1)) for name in ("s3", "s4")]
    write_cases(cases_frame(rows), folder / "cases.csv")
    return folder


def shifted_cubes(folder: Path) -> SimpleNamespace:
    """Five subjects whose tumour is one cube, the tested two shifted by a voxel: overlap 2 of 3 layers."""
    entries = []
    for i in range(5):
        values = np.zeros((8, 6, 5), dtype=np.uint8)
        start = 2 + (i > 2)
        values[start : start + 3, 1:4, 1:4] = 4
        nib.save(nib.Nifti1Image(values, np.eye(4)), folder / f"s{i}.nii.gz")
        entries.append({"subject": f"s{i}", "grade": None, "label": str(folder / f"s{i}.nii.gz")})
    return SimpleNamespace(
        train=entries[:2], val=entries[2:3], test=entries[3:], convention=LABEL_CONVENTIONS["brats2018"]
    )


def test_the_fixed_mask_of_a_fold_stands_beside_its_networks(tmp_path: Path) -> None:
    datalist = shifted_cubes(tmp_path)
    student = evaluated_student(tmp_path, 0.9)
    folder = write_fixed_mask(student, datalist)  # type: ignore[arg-type]
    assert read_cases(folder / "cases.csv").dice_WT.to_list() == [2 / 3, 2 / 3]
    found = compare(tmp_path)
    assert found.text.count("Comparison: ") == 1
    assert "bound is above the 0.667 of the best fixed mask" in " ".join(found.text.split())
    assert write_fixed_mask(student, datalist) == folder  # type: ignore[arg-type]


def test_one_runs_scores_can_be_shown_alone(tmp_path: Path) -> None:
    text = scores_text([pool_runs([EvaluatedRun.read(evaluated_student(tmp_path, 0.9))])])
    assert text.startswith("n = 2, fold 0, seed 3, scored at 1 x 1 x 1 mm; empty references: TC 0, WT 0, ET 0")
    assert text.count("0.900 ± 0.000") == 5 + 3
    assert "Specificity" in text
