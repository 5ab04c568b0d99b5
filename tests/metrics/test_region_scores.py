from __future__ import annotations

import math
import time
import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, distance_transform_edt, gaussian_filter
from scipy.spatial import cKDTree
from sklearn.metrics import f1_score, recall_score

from kd_monai.metrics import HD95_PENALTY_MM, region_scores
from kd_monai.task import REGIONS

Masks = NDArray[np.bool_]
SPACING = (0.7, 1.3, 2.9)


def blobs(seed: int, shape: tuple[int, int, int] = (10, 20, 30), threshold: float = 0.25) -> Masks:
    """Three irregular masks that reach the border of the grid."""
    noise = np.random.default_rng(seed).normal(size=(3, *shape))
    smooth = np.stack([gaussian_filter(part, 2) for part in noise])
    return smooth > threshold * smooth.std()


def surface_of(mask: Masks) -> Masks:
    return mask & ~binary_erosion(mask)


def hd95_by_tree(a: Masks, b: Masks) -> float:
    points = [np.argwhere(surface_of(mask)) * np.array(SPACING) for mask in (a, b)]
    return max(np.percentile(cKDTree(points[1 - i]).query(points[i])[0], 95) for i in (0, 1))


def hd95_by_distance_transform(a: Masks, b: Masks) -> float:
    directed = [
        distance_transform_edt(~surface_of(there), sampling=SPACING)[surface_of(here)]
        for here, there in ((a, b), (b, a))
    ]
    return max(np.percentile(distances, 95) for distances in directed)


@pytest.mark.parametrize("seed", range(4))
def test_hd95_is_exact_on_unequal_sides_and_spacings(seed: int) -> None:
    pred, label = blobs(seed), blobs(seed + 100, threshold=0.8)
    scores = region_scores(pred, label, SPACING)["hd95"]
    for region, p, y in zip(REGIONS, pred, label, strict=True):
        assert scores[region] == pytest.approx(hd95_by_tree(p, y), rel=1e-6)
        assert scores[region] == pytest.approx(hd95_by_distance_transform(p, y), rel=1e-6)


def test_hd95_uses_each_axis_own_spacing() -> None:
    # one voxel moved by 2 along each axis in turn: 2 * 0.7, 2 * 1.3, 2 * 2.9
    label = np.zeros((3, 10, 20, 30), dtype=bool)
    pred = label.copy()
    label[:, 4, 5, 6] = True
    pred[0, 6, 5, 6] = pred[1, 4, 7, 6] = pred[2, 4, 5, 8] = True
    assert list(region_scores(pred, label, SPACING)["hd95"].values()) == pytest.approx([1.4, 2.6, 5.8])


def test_hd95_is_the_larger_direction_and_not_the_pooled_one() -> None:
    # line of 100 voxels against its first voxel: to the line 0 mm; from the line the 95th percentile of 0..99
    label = np.zeros((3, 100, 2, 3), dtype=bool)
    pred = label.copy()
    label[:, :, 1, 1] = True
    pred[:, 0, 1, 1] = True
    expected = np.percentile(np.arange(100.0), 95)
    assert region_scores(pred, label, (1, 1, 1))["hd95"]["WT"] == pytest.approx(expected)
    assert region_scores(label, pred, (1, 1, 1))["hd95"]["WT"] == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(3))
def test_dice_sensitivity_specificity_agree_with_sklearn(seed: int) -> None:
    pred, label = blobs(seed), blobs(seed + 50)
    scores = region_scores(torch.from_numpy(pred), torch.from_numpy(label), SPACING)
    for i, region in enumerate(REGIONS):
        p, y = pred[i].ravel(), label[i].ravel()
        assert scores["dice"][region] == pytest.approx(f1_score(y, p))
        assert scores["sensitivity"][region] == pytest.approx(recall_score(y, p))
        assert scores["specificity"][region] == pytest.approx(recall_score(~y, ~p))


def test_hand_drawn_case() -> None:
    # reference #### ....    TP 2, FN 2, FP 1, TN 3
    # predicted ..## #...
    label = np.broadcast_to(np.array([1, 1, 1, 1, 0, 0, 0, 0], dtype=bool), (3, 1, 1, 8))
    pred = np.broadcast_to(np.array([0, 0, 1, 1, 1, 0, 0, 0], dtype=bool), (3, 1, 1, 8))
    scores = region_scores(pred, label, (1, 1, 1))
    assert scores["dice"]["TC"] == pytest.approx(4 / 7)
    assert scores["sensitivity"]["TC"] == pytest.approx(1 / 2)
    assert scores["specificity"]["TC"] == pytest.approx(3 / 4)


EMPTY, SOME = np.zeros((3, 4, 5, 6), dtype=bool), blobs(0, (4, 5, 6))


def test_both_empty_is_perfect_and_has_no_sensitivity() -> None:
    scores = region_scores(EMPTY, EMPTY, (1, 1, 1))
    assert (scores["dice"]["ET"], scores["hd95"]["ET"], scores["specificity"]["ET"]) == (1, 0, 1)
    assert math.isnan(scores["sensitivity"]["ET"])


def test_missed_region_scores_zero_and_the_penalty() -> None:
    scores = region_scores(EMPTY, SOME, (1, 1, 1))
    assert (scores["dice"]["ET"], scores["hd95"]["ET"]) == (0, HD95_PENALTY_MM)
    assert scores["sensitivity"]["ET"] == 0


def test_invented_region_scores_zero_and_the_penalty() -> None:
    scores = region_scores(SOME, EMPTY, (1, 1, 1))
    assert (scores["dice"]["ET"], scores["hd95"]["ET"]) == (0, HD95_PENALTY_MM)
    assert math.isnan(scores["sensitivity"]["ET"])
    assert scores["specificity"]["ET"] < 1


def test_reference_that_fills_the_grid_has_no_specificity() -> None:
    assert math.isnan(region_scores(SOME, ~EMPTY, (1, 1, 1))["specificity"]["WT"])


def test_penalty_is_the_diagonal_of_the_brats_volume() -> None:
    assert pytest.approx(math.dist((0, 0, 0), (240, 240, 155)), abs=0.05) == HD95_PENALTY_MM


def test_zeros_and_ones_of_any_type_are_masks_and_nothing_warns() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        from_floats = region_scores(torch.from_numpy(SOME).float(), SOME.astype(np.uint8), (1, 1, 1))
    assert from_floats["dice"]["TC"] == 1


@pytest.mark.parametrize(
    ("pred", "label", "spacing", "message"),
    [
        (SOME, SOME[:, :3], (1, 1, 1), "one grid"),
        (SOME[:1], SOME[:1], (1, 1, 1), r"shape \(3, H, W, D\)"),
        (SOME * 0.4, SOME, (1, 1, 1), "Threshold"),
        (SOME, SOME * 4, (1, 1, 1), "label must hold masks"),
        (SOME, SOME, (1, 1), "3 positive voxel sides"),
        (SOME, SOME, (1, 1, 0), "3 positive voxel sides"),
    ],
)
def test_what_is_no_mask_is_refused(pred: Masks, label: Masks, spacing: tuple[float, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        region_scores(pred, label, spacing)


def test_full_volume_takes_seconds() -> None:
    grid = np.ogrid[:240, :240, :155]

    def ball(centre: int, radius: int) -> Masks:
        return sum((axis - centre) ** 2 for axis in grid) < radius**2

    label = np.stack([ball(80, 25), ball(80, 45), ball(80, 15)])
    start = time.process_time()
    scores = region_scores(np.roll(label, 3, axis=2), label, (1, 1, 1))
    assert time.process_time() - start < 10
    assert 2 < scores["hd95"]["WT"] <= 3


def test_real_reference_against_itself_is_perfect(real_cases: Path) -> None:
    file = sorted(real_cases.glob("*/*/*_seg.nii.gz"))[0]
    image = nib.load(file)
    values = np.asarray(image.dataobj)
    label = np.stack([np.isin(values, (1, 4)), values > 0, values == 4])
    scores = region_scores(label, label, image.header.get_zooms())
    assert set(scores["dice"].values()) == {1.0}
    assert set(scores["hd95"].values()) == {0.0}
