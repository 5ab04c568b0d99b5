"""The scores of a run are those of the label maps that its bundle writes."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from tiny import TINY, coarse, command, words

from kd_monai.data import Datalist
from kd_monai.export.bundle import bundle_of
from kd_monai.export.predict import predict
from kd_monai.metrics import read_cases, region_scores
from kd_monai.task import LABEL_CONVENTIONS, REGIONS


def regions(path: str | Path) -> tuple[np.ndarray, tuple[float, ...]]:
    """Masks of TC, WT, ET in a label map of BraTS 2018, and its spacing."""
    image = nib.load(path)
    values = LABEL_CONVENTIONS["brats2018"].regions
    label = np.asarray(image.dataobj)
    return np.stack([np.isin(label, values[region]) for region in REGIONS]), image.header.get_zooms()[:3]


@pytest.mark.parametrize(("verb", "modalities"), [("baseline", ("t1ce",)), ("teacher", ("t1", "t1ce", "t2", "flair"))])
def test_scores_are_those_of_the_written_files(
    verb: str, modalities: tuple[str, ...], phantom: Path, tmp_path: Path
) -> None:
    data = coarse(phantom, tmp_path / "data")
    assert command(verb, words(data=str(data), out=str(tmp_path / "runs"), set="spacing_mm=6.0")) == 0
    (run,) = (file.parent for file in (tmp_path / "runs").glob("*/run.json"))
    cases = read_cases(run / "cases.csv").set_index("subject")
    tested = Datalist.load(data, split_file=run / "split.json").test
    assert sorted(entry["subject"] for entry in tested) == list(cases.index)
    for entry in tested:
        for modality in modalities:
            (tmp_path / "in").mkdir(exist_ok=True)
            shutil.copy(entry["image"][modality], tmp_path / "in")
    predict(
        bundle_of(run), tmp_path / "in", tmp_path / "out", labels="brats2018", runtime="torch", device=TINY["device"]
    )
    for entry in tested:
        (written,) = (tmp_path / "out").glob(f"{entry['subject']}_*_seg.nii.gz")
        (pred, _), (label, spacing_mm) = regions(written), regions(entry["label"])
        assert pred.any(), "an empty map shows nothing"
        scores = region_scores(pred, label, spacing_mm)
        row = cases.loc[entry["subject"]]
        for metric in ("dice", "hd95"):
            for region in REGIONS:
                # the bundle resamples the brain alone: a voxel or two with logits of 0 up to rounding may differ
                near = 4 / max(1, pred[REGIONS.index(region)].sum()) if metric == "dice" else 1e-3
                assert scores[metric][region] == pytest.approx(row[f"{metric}_{region}"], abs=near)
