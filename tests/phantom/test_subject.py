"""One phantom subject: what a radiologist and a loader may rely on."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import label as connected
from sklearn.metrics import roc_auc_score

from kd_monai.phantom.subject import make_subject

INDICES = (0, 1, 2, 5)  # HGG, LGG, HGG, LGG
MODALITIES = ("t1", "t1ce", "t2", "flair")


@pytest.fixture(scope="module")
def subjects() -> list[tuple]:
    return [make_subject(index, 2, 0) for index in INDICES]


def relative(image: np.ndarray, label: np.ndarray, value: int) -> float:
    """Median of one part over the median of the brain outside the tumour."""
    return float(np.median(image[label == value]) / np.median(image[(image > 0) & (label == 0)]))


def test_grid_is_that_of_brats_at_two_millimetres(subjects: list[tuple]) -> None:
    for images, label, affine, _ in subjects:
        assert set(images) == set(MODALITIES)
        assert {a.shape for a in (*images.values(), label)} == {(120, 120, 78)}
        assert {a.dtype for a in images.values()} == {np.dtype(np.int16)}
        assert label.dtype == np.uint8
        assert nib.aff2axcodes(affine) == ("L", "P", "S")


def test_background_is_exactly_zero_and_the_brain_never(subjects: list[tuple]) -> None:
    for images, label, _, _ in subjects:
        brains = [image != 0 for image in images.values()]
        assert all(np.array_equal(brain, brains[0]) for brain in brains)
        assert not label[~brains[0]].any()
        assert all(image.min() == 0 for image in images.values())
        parts, count = connected(brains[0])
        assert np.bincount(parts.ravel())[1:].max() > 0.98 * brains[0].sum(), f"{count} pieces"


def test_brain_volume_is_human(subjects: list[tuple]) -> None:
    for images, *_ in subjects:
        assert 1000 < (images["t1"] > 0).sum() * 0.008 < 2000  # ml


def test_labels_are_those_of_brats_2018(subjects: list[tuple]) -> None:
    for _, label, _, grade in subjects:
        assert set(np.unique(label)) <= {0, 1, 2, 4}
        assert {1, 2} <= set(np.unique(label))
        if grade == "HGG":
            assert 4 in label


def test_core_lies_within_the_tumour_and_not_at_its_border(subjects: list[tuple]) -> None:
    for _, label, _, _ in subjects:
        whole, core = label > 0, np.isin(label, (1, 4))
        assert core.sum() < whole.sum()
        assert (label == 4).sum() < core.sum()
        # a box around the whole tumour contains the box around its core
        outer, inner = (np.argwhere(part) for part in (whole, core))
        assert (outer.min(0) <= inner.min(0)).all()
        assert (outer.max(0) >= inner.max(0)).all()


def test_hgg_enhances_around_its_core_and_lgg_hardly_at_all(subjects: list[tuple]) -> None:
    for _, label, _, grade in subjects:
        share = (label == 4).sum() / np.isin(label, (1, 4)).sum()
        assert share > 0.2 if grade == "HGG" else share < 0.2


def test_enhancing_tumour_is_bright_on_t1ce_and_not_on_t1(subjects: list[tuple]) -> None:
    for images, label, _, grade in subjects:
        if grade == "HGG":
            assert relative(images["t1ce"], label, 4) > 1.1
            assert relative(images["t1"], label, 4) < 1.3
            assert relative(images["t1ce"], label, 4) > relative(images["t1"], label, 4) + 0.15
            assert relative(images["t1ce"], label, 4) > relative(images["t1ce"], label, 2) + 0.1


def test_oedema_is_bright_on_flair_and_t2_and_hardly_visible_on_t1(subjects: list[tuple]) -> None:
    for images, label, _, _ in subjects:
        assert relative(images["flair"], label, 2) > 1.15
        assert relative(images["t2"], label, 2) > 1.05
        assert 0.75 < relative(images["t1"], label, 2) < 1.25
        assert 0.75 < relative(images["t1ce"], label, 2) < 1.3
    assert np.mean([relative(images["t2"], label, 2) for images, label, _, _ in subjects]) > 1.2


def test_core_is_dark_on_t1_and_bright_on_t2(subjects: list[tuple]) -> None:
    t1 = [relative(images["t1"], label, 1) / relative(images["t1"], label, 2) for images, label, _, _ in subjects]
    t2 = [relative(images["t2"], label, 1) for images, label, _, _ in subjects]
    assert np.mean(t1) < 0.93
    assert max(t1) < 1.05
    assert np.mean(t2) > 1.3
    assert min(t2) > 1.05


def test_cerebrospinal_fluid_is_dark_on_t1_and_bright_on_t2(subjects: list[tuple]) -> None:
    for images, label, _, _ in subjects:
        normal = (images["t1"] > 0) & (label == 0)
        fluid = normal & (images["t2"] > np.percentile(images["t2"][normal], 98))
        assert np.median(images["t1"][fluid]) < 0.8 * np.median(images["t1"][normal])
        assert np.median(images["flair"][fluid]) < 0.9 * np.median(images["flair"][normal])


def test_no_threshold_on_one_modality_finds_the_tumour(subjects: list[tuple]) -> None:
    """Vessels enhance like tumour on T1ce, hyperintensities shine like oedema on FLAIR."""
    for images, label, _, grade in subjects:
        normal = (images["t1"] > 0) & (label == 0)
        if grade == "HGG":
            assert (images["t1ce"][normal] > np.median(images["t1ce"][label == 4])).sum() > 20
    brighter = [
        (images["flair"][(images["t1"] > 0) & (label == 0)] > np.percentile(images["flair"][label == 2], 30)).sum()
        for images, label, _, _ in subjects
    ]
    assert sum(brighter) > 20


def test_t1ce_shows_enhancement_best_and_flair_the_whole_tumour(subjects: list[tuple]) -> None:
    for images, label, _, grade in subjects:
        brain, tumour = images["t1"] > 0, label > 0
        whole = {m: roc_auc_score(tumour[brain], images[m][brain]) for m in MODALITIES}
        assert whole["flair"] > 0.85
        assert max(whole["t1ce"], 1 - whole["t1ce"]) < whole["flair"] - 0.1
        if grade == "HGG":
            inside = {m: roc_auc_score((label == 4)[tumour], images[m][tumour]) for m in MODALITIES}
            assert inside["t1ce"] > 0.85
            assert max(inside["flair"], 1 - inside["flair"]) < inside["t1ce"]


def test_subject_depends_on_seed_and_index_alone(subjects: list[tuple]) -> None:
    images, label, _, _ = make_subject(INDICES[-1], 2, 0)  # the last, made now without the others before it
    assert np.array_equal(label, subjects[-1][1])
    assert all(np.array_equal(images[m], subjects[-1][0][m]) for m in MODALITIES)
    other, *_ = make_subject(INDICES[-1], 2, 1)
    assert not np.array_equal(other["t1"], images["t1"])


def test_a_subject_is_the_same_patient_at_both_spacings(subjects: list[tuple]) -> None:
    images, label, affine, grade = make_subject(INDICES[0], 1, 0)
    assert label.shape == (240, 240, 155)
    assert np.array_equal(affine, [[-1, 0, 0, 0], [0, -1, 0, 239], [0, 0, 1, 0], [0, 0, 0, 1]])
    assert grade == subjects[0][3]
    for fine, coarse in ((images["t1"] > 0, subjects[0][0]["t1"] > 0), (label > 0, subjects[0][1] > 0)):
        fine = fine[::2, ::2, ::2]
        assert 2 * (fine & coarse).sum() / (fine.sum() + coarse.sum()) > 0.85


@pytest.mark.parametrize(("index", "spacing_mm", "seed"), [(0, 3, 0), (-1, 2, 0), (0, 2, -1)])
def test_bad_arguments_are_named(index: int, spacing_mm: int, seed: int) -> None:
    with pytest.raises(ValueError, match=r"must .* got"):
        make_subject(index, spacing_mm, seed)


def test_phantom_and_real_files_have_one_geometry(subjects: list[tuple], real_cases: Path) -> None:
    spacing = 2 if "2mm" in str(real_cases) else 1
    path = next(iter(sorted(real_cases.glob("HGG/*/*_t1.nii.gz"))))
    real = nib.load(path)
    images, _, affine, _ = subjects[0] if spacing == 2 else make_subject(0, 1, 0)
    assert np.allclose(real.affine, affine)
    assert real.shape == images["t1"].shape
    centres = [np.argwhere(np.asarray(a) > 0).mean(0) * spacing for a in (real.dataobj, images["t1"])]
    assert np.linalg.norm(centres[0] - centres[1]) < 12  # mm
