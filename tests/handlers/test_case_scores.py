"""Test cases are scored as label maps on the grid they came in, against hand-drawn references."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator
from monai.transforms import CastToTyped, Compose, Invertd, Lambdad
from shipped import cached_transforms
from torch import nn

from kd_monai.data import items
from kd_monai.handlers import CaseScoresHandler, ThresholdHandler
from kd_monai.metrics import MORE_COLUMNS, ThresholdChoice
from kd_monai.networks.inferers import AutocastSlidingWindowInferer
from kd_monai.task import LABEL_CONVENTIONS, REGIONS, LabelConvention

SHAPE = (10, 8, 6)


def boxes(core: int = 1, oedema: int = 2, enhancing: int = 3) -> np.ndarray:
    """Oedema 4 x 4 x 4 around core 2 x 2 x 4 beside enhancing 1 x 2 x 4."""
    values = np.zeros(SHAPE, dtype=np.uint8)
    values[2:6, 2:6, 1:5] = oedema
    values[3:5, 3:5, 1:5] = core
    values[5:6, 3:5, 1:5] = enhancing
    return values


def entry(folder: Path, values: np.ndarray, affine: np.ndarray | None = None) -> dict[str, Any]:
    path = folder / "label.nii.gz"
    nib.save(nib.Nifti1Image(values, np.diag([2.0, 1, 1, 1]) if affine is None else affine), path)
    return {"subject": "a", "grade": "HGG", "label": str(path)}


def rows_of(entry: dict[str, Any], label_map: np.ndarray, convention: LabelConvention) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    handler = CaseScoresHandler([entry], convention, rows.append)
    state = SimpleNamespace(batch=[{"subject": "a"}], output=[{"pred": torch.as_tensor(label_map)[None]}])
    handler(SimpleNamespace(state=state))  # type: ignore[arg-type]
    return rows


@pytest.mark.parametrize("name", LABEL_CONVENTIONS)
def test_a_perfect_map_scores_one_under_every_convention(name: str, tmp_path: Path) -> None:
    convention = LABEL_CONVENTIONS[name]
    (row,) = rows_of(entry(tmp_path, boxes(*convention.tumour)), boxes(), convention)
    for region in ("TC", "WT", "ET"):
        assert row[f"dice_{region}"] == 1
        assert row[f"hd95_{region}"] == 0
        assert row[f"empty_{region}"] is False
    assert (row["subject"], row["grade"], row["spacing_mm"]) == ("a", "HGG", "2 x 1 x 1")


def test_values_that_belong_to_no_region_are_background(tmp_path: Path) -> None:
    """BraTS 2024's resection cavity."""
    values = boxes(1, 2, 3)
    values[8:, :, :] = 4
    (row,) = rows_of(entry(tmp_path, values), boxes(), LABEL_CONVENTIONS["brats2024"])
    assert row["dice_WT"] == 1


def test_regions_are_scored_and_not_labels(tmp_path: Path) -> None:
    """Core and enhancing tumour exchanged: WT and TC are right, ET is not."""
    predicted = boxes(core=3, oedema=2, enhancing=1)
    (row,) = rows_of(entry(tmp_path, boxes(1, 2, 4)), predicted, LABEL_CONVENTIONS["brats2018"])
    assert (row["dice_WT"], row["dice_TC"], row["dice_ET"]) == (1, 1, 0)


def test_dice_of_a_shifted_box_is_that_of_its_overlap(tmp_path: Path) -> None:
    predicted = np.roll(boxes(), 1, axis=0)
    (row,) = rows_of(entry(tmp_path, boxes(1, 2, 4)), predicted, LABEL_CONVENTIONS["brats2018"])
    # WT spans 4 layers, 3 of them shared; TC 3 layers, 2 shared; ET one, none shared
    assert row["dice_WT"] == pytest.approx(3 / 4)
    assert row["dice_TC"] == pytest.approx(2 / 3)
    assert row["dice_ET"] == 0
    assert row["hd95_ET"] == pytest.approx(2)  # one voxel of 2 mm


def test_an_empty_reference_is_counted(tmp_path: Path) -> None:
    values = boxes(1, 2, 4)
    values[values == 4] = 0
    (row,) = rows_of(entry(tmp_path, values), boxes(), LABEL_CONVENTIONS["brats2018"])
    assert (row["empty_ET"], row["empty_WT"]) == (True, False)
    assert (row["dice_ET"], row["hd95_ET"]) == (0, pytest.approx(373.13, abs=0.01))


def test_another_grid_is_refused_with_both_shapes_and_the_subject(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\(10, 8, 6\).*of a has \(10, 8, 5\).*Invertd"):
        rows_of(entry(tmp_path, boxes()), boxes()[..., :5], LABEL_CONVENTIONS["brats2018"])


class ReadsTheImage(nn.Module):
    """Logits of the labels head: oedema where the image is half as far above the brain's level as its maximum is."""

    def __init__(self, image: torch.Tensor) -> None:
        super().__init__()
        self.brain, self.maximum = image[image != 0].median(), image.max()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = torch.where(image == 0, 0.0, (image - self.brain) / (self.maximum - self.brain))
        return torch.cat([-(x**2), torch.full_like(x, -1e6), -((x - 0.5) ** 2), -((x - 1) ** 2)], 1)


@pytest.mark.parametrize("spacing_mm", [None, 1.0])
def test_through_crop_orientation_and_resampling_the_map_lands_on_its_own_grid(spacing_mm, tmp_path: Path) -> None:
    """The whole evaluation, on a volume stored left to right and head to foot, with 2 mm along one axis."""
    affine = np.array([[-2.0, 0, 0, 30], [0, 1, 0, -7], [0, 0, -1, 11], [0, 0, 0, 1]])
    shape = (24, 40, 44)
    brain, tumour = np.zeros(shape, np.float32), np.zeros(shape, np.uint8)
    brain[4:20, 6:34, 8:36] = 100
    tumour[6:14, 10:20, 12:24] = 2
    tumour[8:12, 12:18, 14:20] = 4
    brain[tumour == 2], brain[tumour == 4] = 200, 300
    case = entry(tmp_path, tumour, affine)
    nib.save(nib.Nifti1Image(brain, affine), tmp_path / "t1ce.nii.gz")
    case["image"] = {"t1ce": str(tmp_path / "t1ce.nii.gz")}

    preprocessing = cached_transforms("brats2018", spacing_mm, half=False)
    (item,) = items([case], ["t1ce"], with_label=False)
    rows: list[dict[str, Any]] = []
    loader = DataLoader(
        Dataset([item], Compose([preprocessing, CastToTyped("image", dtype=torch.float32)])),
        batch_size=1,
        num_workers=0,
    )
    SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=loader,
        network=ReadsTheImage(preprocessing(item)["image"].float()),
        inferer=AutocastSlidingWindowInferer("cpu", [32, 32, 32], 0.5, precision="fp32"),
        prepare_batch=lambda batch, device, non_blocking, **_: (batch["image"].to(device), None),
        postprocessing=Compose(
            [
                Invertd("pred", preprocessing, orig_keys="image", nearest_interp=False),
                Lambdad("pred", lambda logits: logits.argmax(0, keepdim=True)),
            ]
        ),
        val_handlers=[CaseScoresHandler([case], LABEL_CONVENTIONS["brats2018"], rows.append)],
    ).run()
    (row,) = rows
    enough = 0.999 if spacing_mm is None else 0.85  # resampling blurs the border
    assert row["dice_WT"] > enough
    assert row["dice_ET"] > enough
    assert row["spacing_mm"] == "2 x 1 x 1"


def tuned_row(
    probabilities: np.ndarray, values: np.ndarray, chosen: dict[str, float], tmp_path: Path
) -> dict[str, Any]:
    """The row of a case whose delivered map is empty, at thresholds that were chosen before."""
    choice = SimpleNamespace(chosen=chosen)
    rows: list[dict[str, Any]] = []
    case = entry(tmp_path, values)
    handler = CaseScoresHandler([case], LABEL_CONVENTIONS["brats2018"], rows.append, choice)  # type: ignore[arg-type]
    output = {
        "pred": torch.zeros(1, *SHAPE),
        "probabilities": torch.as_tensor(probabilities, dtype=torch.float32),
        "brain": torch.ones(1, *SHAPE),
    }
    handler(SimpleNamespace(state=SimpleNamespace(batch=[{"subject": "a"}], output=[output])))  # type: ignore[arg-type]
    return rows[0]


def test_chosen_thresholds_are_scored_beside_one_half(tmp_path: Path) -> None:
    values = boxes(1, 2, 4)
    truth = np.stack([np.isin(values, (1, 4)), values > 0, values == 4])
    row = tuned_row(0.3 * truth, values, {"TC": 0.25, "WT": 0.2, "ET": 0.35}, tmp_path)
    assert (row["dice_TC"], row["dice_WT"], row["dice_ET"]) == (0, 0, 0)
    assert (row["tuned_dice_TC"], row["tuned_dice_WT"], row["tuned_dice_ET"]) == (1, 1, 0)
    assert (row["tuned_hd95_TC"], row["tuned_hd95_ET"]) == (0, pytest.approx(373.13))
    assert row["brier_WT"] == pytest.approx(0.7**2 * (values > 0).mean(), rel=1e-5)
    assert row["ece_WT"] == pytest.approx(0.7 * (values > 0).mean(), rel=1e-5)


def test_regions_stay_nested_whatever_the_thresholds(tmp_path: Path) -> None:
    """ET is found, TC and WT are not: the label map lays ET over them, and it counts for all three."""
    values = np.where(boxes(1, 2, 4) == 4, 4, 0).astype(np.uint8)
    probabilities = np.stack([np.zeros(SHAPE), np.zeros(SHAPE), (values == 4) * 0.9])
    row = tuned_row(probabilities, values, {"TC": 0.95, "WT": 0.95, "ET": 0.5}, tmp_path)
    assert (row["tuned_dice_TC"], row["tuned_dice_WT"], row["tuned_dice_ET"]) == (1, 1, 1)


def test_without_thresholds_nothing_is_said_of_them(tmp_path: Path) -> None:
    (row,) = rows_of(entry(tmp_path, boxes(1, 2, 4)), boxes(), LABEL_CONVENTIONS["brats2018"])
    assert np.isnan([row[column] for column in MORE_COLUMNS]).all()


def test_thresholds_are_chosen_on_the_native_reference(tmp_path: Path) -> None:
    values = boxes(1, 2, 4)
    truth = np.stack([np.isin(values, (1, 4)), values > 0, values == 4])
    probabilities = torch.as_tensor(0.2 + 0.3 * truth, dtype=torch.float32)
    choice = ThresholdChoice()
    handler = ThresholdHandler([entry(tmp_path, values)], LABEL_CONVENTIONS["brats2018"], choice)
    state = SimpleNamespace(batch=[{"subject": "a"}], output=[{"probabilities": probabilities}])
    handler(SimpleNamespace(state=state))  # type: ignore[arg-type]
    assert choice.chosen == pytest.approx(dict.fromkeys(REGIONS, 0.45))
    state.output = [{"probabilities": probabilities[..., 1:]}]
    with pytest.raises(ValueError, match="of a has"):
        handler(SimpleNamespace(state=state))  # type: ignore[arg-type]
