"""From paths to what is cached."""

from __future__ import annotations

from pathlib import Path

import itk
import nibabel as nib
import numpy as np
import pytest
import torch
from monai.transforms import (
    Compose,
    CropForegroundd,
    EnsureChannelFirstd,
    Invertd,
    Lambdad,
    LoadImaged,
    NormalizeIntensityd,
    Orientationd,
    Spacingd,
)
from small_cases import AFFINE, SHAPE, save, volumes, write_brats, write_case, write_msd

from kd_monai.data import Datalist, cached_transforms, region_transforms
from kd_monai.data.entries import Entry


def entry_of(files: dict[str, Path], subject: str = "A") -> Entry:
    image = {kind: str(path) for kind, path in files.items() if kind != "label"}
    return Entry(subject=subject, patient=subject, grade=None, image=image, label=str(files["label"]))


def expected_image(voxels: np.ndarray) -> np.ndarray:
    """Left and posterior axes turned over to RAS, cropped to the brain, normalised over it."""
    turned = voxels[::-1, ::-1][3:10, 2:11, 1:8].astype(float)
    inside = turned != 0
    return np.where(inside, (turned - turned[inside].mean()) / turned[inside].std(), 0)


def test_image_is_oriented_cropped_and_normalised_per_modality(tmp_path: Path) -> None:
    sample = cached_transforms("t1ce-flair")(entry_of(write_case(tmp_path, "A")))
    arrays = volumes()
    expected = np.stack([expected_image(arrays[modality]) for modality in ("t1ce", "flair")])
    assert sample["image"].dtype == torch.float16
    assert set(sample) == {"image", "label", "subject"}
    np.testing.assert_allclose(sample["image"].numpy(), expected, atol=2e-3)
    np.testing.assert_array_equal(sample["label"].numpy()[0], arrays["label"][::-1, ::-1][3:10, 2:11, 1:8])
    assert sample["label"].dtype == torch.uint8


@pytest.mark.parametrize(
    ("convention", "values", "canonical"),
    [
        ("brats2018", (1, 2, 4), (1, 2, 4)),
        ("brats2023", (1, 2, 3), (1, 2, 4)),
        ("brats2024", (1, 2, 3, 4), (1, 2, 4, 0)),
        ("msd", (1, 2, 3), (2, 1, 4)),
    ],
)
def test_labels_become_canonical(
    tmp_path: Path, convention: str, values: tuple[int, ...], canonical: tuple[int, ...]
) -> None:
    entry = entry_of(write_case(tmp_path, "A", values))
    label = cached_transforms("t1", convention, crop=False)(entry)["label"].numpy()[0, ::-1, ::-1]
    for position, value in enumerate(canonical):
        assert (label[3 + position, 4:7, 2:5] == value).all()


def test_msd_channels_are_taken_by_name(tmp_path: Path) -> None:
    datalist = Datalist.load(write_msd(tmp_path), modalities="t1-flair", fold="all")
    sample = cached_transforms(datalist.modalities, datalist.convention)(datalist.train[0])
    arrays = volumes(0, (1, 2, 3))
    expected = np.stack([expected_image(arrays[modality]) for modality in ("t1", "flair")])
    np.testing.assert_allclose(sample["image"].numpy(), expected, atol=2e-3)


def test_a_mixture_of_formats_is_one_image(tmp_path: Path) -> None:
    files = write_case(tmp_path, "A")
    expected = cached_transforms("t1-t2")(entry_of(files))["image"]
    files["t2"] = tmp_path / "A_t2.nrrd"
    itk.imwrite(itk.imread(str(tmp_path / "A_t2.nii.gz")), str(files["t2"]))
    np.testing.assert_array_equal(cached_transforms("t1-t2")(entry_of(files))["image"].numpy(), expected.numpy())


def test_what_is_not_cached_need_not_be_rounded(tmp_path: Path) -> None:
    entry = entry_of(write_case(tmp_path, "A"))
    image, rounded = (cached_transforms("t1", half=half)(entry)["image"] for half in (False, True))
    assert image.dtype == torch.float32
    np.testing.assert_allclose(image.numpy()[0], expected_image(volumes()["t1"]), atol=1e-5)
    np.testing.assert_array_equal(image.half().numpy(), rounded.numpy())


def test_spacing_that_is_right_already_changes_nothing(tmp_path: Path) -> None:
    entry = entry_of(write_case(tmp_path, "A"))
    plain, spaced = (cached_transforms("t1", spacing_mm=spacing)(entry) for spacing in (None, 2))
    np.testing.assert_array_equal(plain["image"].numpy(), spaced["image"].numpy())
    np.testing.assert_array_equal(plain["label"].numpy(), spaced["label"].numpy())


def test_another_spacing_is_resampled_and_labels_stay_exclusive(tmp_path: Path) -> None:
    sample = cached_transforms("t1", spacing_mm=4, crop=False)(entry_of(write_case(tmp_path, "A")))
    assert sample["image"].shape == sample["label"].shape
    np.testing.assert_allclose(sample["image"].shape[1:], np.array(SHAPE) / 2, atol=1)
    np.testing.assert_allclose(sample["image"].pixdim, 4)
    assert set(np.unique(sample["label"].numpy())) <= {0, 1, 2, 4}


@pytest.mark.parametrize("spacing_mm", [None, 2, 1.5])
def test_a_prediction_returns_to_the_native_grid(tmp_path: Path, spacing_mm: float | None) -> None:
    files = write_case(tmp_path, "A")
    preprocessing = cached_transforms("t1", spacing_mm=spacing_mm)
    sample = Compose([preprocessing, *region_transforms()])(entry_of(files))
    invert = Invertd("pred", preprocessing, "image", nearest_interp=False)
    native = invert({"image": sample["image"], "pred": sample["label"].clone()})["pred"]
    written = nib.load(files["label"])
    np.testing.assert_allclose(native.affine, written.affine)
    whole = np.asarray(written.dataobj) > 0
    assert native.shape == (3, *SHAPE)
    wrong = ((native[1].numpy() > 0.5) != whole).mean()
    assert wrong == 0 if spacing_mm != 1.5 else wrong < 0.02


def test_a_student_is_cropped_by_what_it_will_have(tmp_path: Path) -> None:
    files = write_case(tmp_path, "A")
    wider = volumes()["t2"]
    wider[0, 0, 0] = 5
    save(files["t2"], wider, AFFINE)
    assert cached_transforms("t1-t2")(entry_of(files))["image"].shape[1:] == (9, 12, 8)
    assert cached_transforms("t1-t2", crop_modalities="t1")(entry_of(files))["image"].shape[1:] == (7, 9, 7)
    with pytest.raises(ValueError, match="cropped by modalities that are read"):
        cached_transforms("t1", crop_modalities="t2")


def stock(spacing_mm: float | None, modalities: list[str]) -> Compose:
    """The same in MONAI's own transforms, as inference.yaml has them."""
    keys = ["image", "label"]
    steps = [LoadImaged(keys), EnsureChannelFirstd(keys), Orientationd(keys, axcodes="RAS", labels=None)]
    if spacing_mm:
        steps.append(Spacingd(keys, pixdim=[spacing_mm] * 3, mode=["bilinear", "nearest"], dtype=np.float32))
        steps.append(Lambdad("image", lambda x: x * (x.abs() > 1e-4 * x.abs().amax((1, 2, 3), keepdim=True))))
    steps.append(CropForegroundd(keys, source_key="image", allow_smaller=True))
    steps.append(NormalizeIntensityd("image", nonzero=True, channel_wise=True))
    return Compose(steps)


@pytest.mark.parametrize("negative", [False, True])
@pytest.mark.parametrize("modalities", [["t1ce"], ["t1", "t1ce", "t2", "flair"]])
@pytest.mark.parametrize("spacing_mm", [None, 2.0, 1.5, 3.0])
def test_samples_are_those_of_monais_own_transforms(
    tmp_path: Path, spacing_mm: float | None, modalities: list[str], negative: bool
) -> None:
    files = write_case(tmp_path, "A")
    if negative and modalities == ["t1ce"]:  # dark voxels around what is above 0: cut away as in inference
        voxels = volumes()["t1ce"]
        voxels[1, 5, 5] = -7
        save(files["t1ce"], voxels, AFFINE)
    ours = cached_transforms(modalities, spacing_mm=spacing_mm, half=False)(entry_of(files))
    theirs = stock(spacing_mm, modalities)({"image": [files[m] for m in modalities], "label": files["label"]})
    for key in ("image", "label"):
        np.testing.assert_array_equal(ours[key].numpy(), theirs[key].numpy())
        np.testing.assert_allclose(ours[key].affine, theirs[key].affine)
        steps = [[step["class"] for step in sample[key].applied_operations] for sample in (ours, theirs)]
        traced = [[name for name in names if name != "Lambda"] for names in steps]  # has nothing to undo
        assert traced[0] == traced[1]


def test_resampling_leaves_no_dust_beside_the_brain_and_is_float64s_within_1e_4(tmp_path: Path) -> None:
    """1 mm to 2 mm: every second voxel, so what was 0 there is 0 again; MONAI's float64 default is the oracle."""
    random = np.random.default_rng(0)
    brain = np.zeros((40, 44, 48), dtype=np.float32)
    brain[5:34, 7:40, 9:41] = random.uniform(100, 3000, (29, 33, 32))
    path = tmp_path / "A_t1.nii.gz"
    nib.save(nib.Nifti1Image(brain, np.eye(4)), path)
    entry = {"subject": "A", "image": {"t1": str(path)}, "grade": None}
    found = cached_transforms("t1", spacing_mm=2.0, with_label=False, half=False)(entry)
    kept = brain[::2, ::2, ::2]
    assert int((found["image"] != 0).sum()) == int((kept != 0).sum())
    exact = Compose(
        [LoadImaged("image"), EnsureChannelFirstd("image"), Spacingd("image", pixdim=[2.0] * 3, mode="bilinear")]
    )({"image": str(path)})["image"]
    inside = exact[0].numpy()[kept != 0]
    expected = (inside - inside.mean()) / inside.std()
    np.testing.assert_allclose(found["image"][0].numpy()[found["image"][0].numpy() != 0], expected, atol=1e-3)


def test_a_teachers_modality_is_normalised_alike_whoever_crops(tmp_path: Path) -> None:
    files = write_case(tmp_path, "A")
    wider = volumes()["t2"]
    wider[0, 0, 0] = 5
    save(files["t2"], wider, AFFINE)
    alone, cut = (
        cached_transforms(names, crop_modalities=crop)(entry_of(files))["image"].numpy()
        for names, crop in (("t1-t2", "t1-t2"), ("t1-t2", "t1"))
    )
    inside = np.isin(alone[1], cut[1][cut[1] != 0])
    assert inside.sum() >= (cut[1] != 0).sum() == 7 * 9 * 7


def test_a_label_is_not_needed(tmp_path: Path) -> None:
    entry = entry_of(write_case(tmp_path, "A"))
    del entry["label"]
    assert set(cached_transforms("t1", with_label=False)(entry)) == {"image", "subject"}


def test_a_modality_that_the_entry_lacks_is_named(tmp_path: Path) -> None:
    entry = entry_of(write_case(tmp_path, "A"))
    del entry["image"]["t2"]
    with pytest.raises(KeyError, match="subject A"):
        cached_transforms("t1-t2")(entry)


def test_regions_are_nested_and_in_the_order_of_the_model_zoo(tmp_path: Path) -> None:
    datalist = Datalist.load(write_brats(tmp_path, 3), fold="all")
    sample = Compose([cached_transforms(datalist.modalities), *region_transforms()])(datalist.train[0])
    label = cached_transforms(datalist.modalities)(datalist.train[0])["label"].numpy()[0]
    expected = np.stack([np.isin(label, values) for values in ((1, 4), (1, 2, 4), (4,))])
    np.testing.assert_array_equal(sample["label"].numpy(), expected)
    assert sample["label"].dtype == sample["image"].dtype == torch.float32
