from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from kd_monai.metrics import best_fixed_mask, fixed_mask_scores, region_scores
from kd_monai.task import LABEL_CONVENTIONS

SHAPE = (5, 6, 7)
BRATS = LABEL_CONVENTIONS["brats2018"]


def random_labels(n: int, seed: int = 0) -> NDArray[np.bool_]:
    """Noise around a common shape, with an empty ET in some."""
    rng = np.random.default_rng(seed)
    labels = rng.random((n, 3, *SHAPE)) < rng.random((3, *SHAPE)) ** 2
    labels[: n // 3, 2] = False
    return labels


@pytest.mark.parametrize("seed", range(3))
def test_no_threshold_of_the_mean_map_has_a_better_mean_dice(seed: int) -> None:
    labels = random_labels(9, seed)
    mask = best_fixed_mask(labels)
    mean_map = labels.mean(axis=0)

    def mean_dice(candidate: NDArray[np.bool_], r: int) -> float:
        both, sizes = (candidate & labels[:, r]).sum((1, 2, 3)), candidate.sum() + labels[:, r].sum((1, 2, 3))
        return float(np.where(sizes == 0, 1.0, 2 * both / np.maximum(sizes, 1)).mean())

    for r in range(3):
        best = max(mean_dice(mean_map[r] >= level, r) for level in [*np.unique(mean_map[r]), 2.0])
        assert mean_dice(mask[r], r) == pytest.approx(best)


def test_a_mostly_absent_region_is_best_left_empty() -> None:
    labels = random_labels(9)
    labels[1:, 2] = False
    assert not best_fixed_mask(labels)[2].any()


def test_no_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="got none"):
        best_fixed_mask([])


def write(folder: Path, name: str, values: NDArray[np.uint8], affine: NDArray[np.float64]) -> dict[str, Any]:
    path = folder / f"{name}_seg.nii.gz"
    nib.save(nib.Nifti1Image(values, affine), path)
    return {"subject": name, "grade": "LGG", "label": str(path)}


def volume(rng: np.random.Generator) -> NDArray[np.uint8]:
    values = np.zeros(SHAPE, dtype=np.uint8)
    values[1:4, 1:5, 2:6] = 2
    values[2:4, 2:4, 3:5] = 1
    values[2, 2:4, 3 + rng.integers(2)] = 4
    return values


def test_files_give_the_table_of_an_evaluation(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    volumes = [volume(rng) for _ in range(5)]
    entries = [write(tmp_path, f"s{i}", values, np.diag([1.0, 2, 3, 1])) for i, values in enumerate(volumes)]
    table = fixed_mask_scores(entries[:3], entries[3:], BRATS)
    regions = np.stack([[np.isin(v, (1, 4)), v > 0, v == 4] for v in volumes])
    mask = best_fixed_mask(regions[:3])
    assert list(table.subject) == ["s3", "s4"]
    for row, label in zip(table.to_dict("records"), regions[3:], strict=True):
        scores = region_scores(mask, label, (1, 2, 3))
        for metric, values in scores.items():
            for region, value in values.items():
                assert row[f"{metric}_{region}"] == pytest.approx(value), (metric, region)
        assert row["spacing_mm"] == "1 x 2 x 3"


def test_files_stored_in_another_orientation_count_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    volumes = [volume(rng) for _ in range(4)]
    (tmp_path / "flipped").mkdir()
    affine = np.diag([1.0, 2, 3, 1])
    flip = np.diag([-1.0, 1, 1, 1])
    flip[0, 3] = SHAPE[0] - 1
    plain = [write(tmp_path, f"s{i}", values, affine) for i, values in enumerate(volumes)]
    mixed = [*plain[:2], *(write(tmp_path / "flipped", f"s{i}", volumes[i][::-1], affine @ flip) for i in (2, 3))]
    assert fixed_mask_scores(mixed[:3], mixed[3:], BRATS).equals(fixed_mask_scores(plain[:3], plain[3:], BRATS))


def test_msd_labels_mean_other_regions(tmp_path: Path) -> None:
    values = volume(np.random.default_rng(2))
    msd = np.array([0, 2, 1, 0, 3], dtype=np.uint8)[values]
    brats_entry, msd_entry = write(tmp_path, "a", values, np.eye(4)), write(tmp_path, "b", msd, np.eye(4))
    for entry, name in ((brats_entry, "brats2018"), (msd_entry, "msd")):
        scores = fixed_mask_scores([entry], [entry], LABEL_CONVENTIONS[name])
        assert scores[["dice_TC", "dice_WT", "dice_ET"]].to_numpy().tolist() == [[1, 1, 1]]
    both = fixed_mask_scores([msd_entry], [msd_entry], LABEL_CONVENTIONS["msd"])
    assert not both.empty_ET[0]


def test_labels_on_two_grids_are_refused_by_name(tmp_path: Path) -> None:
    values = volume(np.random.default_rng(3))
    entries = [write(tmp_path, "one", values, np.eye(4)), write(tmp_path, "two", values, np.diag([2.0, 2, 2, 1]))]
    with pytest.raises(ValueError, match=r"subject two \(.*two_seg.nii.gz\)"):
        fixed_mask_scores(entries, entries[:1], BRATS)


def test_a_fixed_mask_of_real_cases_is_poor(real_cases: Path) -> None:
    files = sorted(real_cases.glob("*/*/*_seg.nii.gz"))[:6]
    entries = [{"subject": file.parent.name, "grade": file.parts[-3], "label": str(file)} for file in files]
    table = fixed_mask_scores(entries[:4], entries[4:], BRATS)
    assert table.dice_WT.between(0, 0.8).all()
