"""From files to cached samples, by the shipped list of MONAI's transforms."""

from __future__ import annotations

import copy
import logging
import os
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import CacheDataset, DataLoader, MetaTensor, PersistentDataset
from monai.transforms import (
    CastToTyped,
    Compose,
    CropForegroundd,
    EnsureChannelFirstd,
    Invertd,
    LoadImaged,
    NormalizeIntensityd,
    Orientationd,
    RandCoarseDropoutd,
    RandCoarseShuffled,
    RandScaleIntensityd,
)
from scripts import LowPassd
from scripts.preprocessing import low_pass
from shipped import cached_transforms, shipped
from small_cases import AFFINE, save, volumes, write_brats, write_case, write_msd

from kd_monai.data import Datalist, LabelToRegions, SeededDataset, cache_dataset, items, reader
from kd_monai.data.entries import Entry
from kd_monai.data.loading import described, sample_bytes
from kd_monai.errors import UserError

FOUR = ("t1", "t1ce", "t2", "flair")
FLOAT_REGIONS = [CastToTyped("image", dtype=torch.float32), LabelToRegions()]
"""What validation does to a cached sample."""


@pytest.fixture
def datalist(tmp_path: Path) -> Datalist:
    return Datalist.load(write_brats(tmp_path / "data", 3), fold="all")


def entry_of(files: dict[str, Path], subject: str = "A") -> Entry:
    image = {kind: str(path) for kind, path in files.items() if kind != "label"}
    return Entry(subject=subject, patient=subject, grade=None, image=image, label=str(files["label"]))


def sample_of(entry: Entry, sequences: tuple[str, ...] = FOUR, **settings: object) -> dict:
    return cached_transforms(**settings)(items([entry], sequences)[0])


def same(one: dict, other: dict) -> bool:
    return all(torch.equal(torch.as_tensor(one[key]), torch.as_tensor(other[key])) for key in ("image", "label"))


def expected_image(voxels: np.ndarray) -> np.ndarray:
    """Left and posterior axes turned over to RAS, cropped to the brain, normalised over it."""
    turned = voxels[::-1, ::-1][3:10, 2:11, 1:8].astype(float)
    inside = turned != 0
    return np.where(inside, (turned - turned[inside].mean()) / turned[inside].std(), 0)


# --- the transforms


def test_image_is_oriented_cropped_and_normalised_per_sequence(tmp_path: Path) -> None:
    sample = sample_of(entry_of(write_case(tmp_path, "A")), ("t1ce", "flair"))
    arrays = volumes()
    expected = np.stack([expected_image(arrays[name]) for name in ("t1ce", "flair")])
    assert sample["image"].dtype == torch.float16
    np.testing.assert_allclose(sample["image"].numpy(), expected, atol=2e-3)
    np.testing.assert_array_equal(sample["label"].numpy()[0], arrays["label"][::-1, ::-1][3:10, 2:11, 1:8])
    assert sample["label"].dtype == torch.uint8


def test_samples_are_those_of_the_plain_order_that_crops_last(tmp_path: Path) -> None:
    files, keys = write_case(tmp_path, "A"), ["image", "label"]
    steps = [LoadImaged(keys), EnsureChannelFirstd(keys), Orientationd(keys, axcodes="RAS", labels=None)]
    steps += [NormalizeIntensityd("image", nonzero=True, channel_wise=True)]
    crop = CropForegroundd(keys, source_key="image", select_fn=lambda x: x != 0, allow_smaller=True)
    theirs = Compose([*steps, crop])({"image": [files[name] for name in FOUR], "label": files["label"]})
    ours = sample_of(entry_of(files), half=False)
    np.testing.assert_allclose(ours["image"].numpy(), theirs["image"].numpy(), atol=1e-5)
    np.testing.assert_array_equal(ours["label"].numpy(), theirs["label"].numpy())
    np.testing.assert_allclose(ours["image"].affine, theirs["image"].affine)


def test_channels_of_a_4d_file_are_taken_by_name(tmp_path: Path) -> None:
    datalist = Datalist.load(write_msd(tmp_path), fold="all")
    sample = sample_of(datalist.train[0], ("t1", "flair"), convention=datalist.convention.name)
    arrays = volumes(0, (1, 2, 3))
    expected = np.stack([expected_image(arrays[name]) for name in ("t1", "flair")])
    np.testing.assert_allclose(sample["image"].numpy(), expected, atol=2e-3)


def test_spacing_that_is_right_already_changes_nothing(tmp_path: Path) -> None:
    entry = entry_of(write_case(tmp_path, "A"))
    assert same(sample_of(entry), sample_of(entry, spacing_mm=2.0))


@pytest.mark.parametrize("spacing_mm", [4.0, 3.0, 1.0])
def test_another_spacing_is_resampled_and_labels_stay_exclusive(tmp_path: Path, spacing_mm: float) -> None:
    sample = sample_of(entry_of(write_case(tmp_path, "A")), spacing_mm=spacing_mm)
    assert sample["image"].shape[1:] == sample["label"].shape[1:]
    np.testing.assert_allclose(sample["image"].shape[1:], np.array((7, 9, 7)) * 2 / spacing_mm, atol=1)
    np.testing.assert_allclose(sample["image"].pixdim, spacing_mm)
    assert set(np.unique(sample["label"].numpy())) <= {0, 1, 2, 4}


@pytest.mark.parametrize("spacing_mm", [None, 2.0, 1.5])
def test_a_prediction_returns_to_the_native_grid(tmp_path: Path, spacing_mm: float | None) -> None:
    files = write_case(tmp_path, "A")
    transform = cached_transforms(spacing_mm=spacing_mm)
    sample = Compose(FLOAT_REGIONS)(transform(items([entry_of(files)], FOUR)[0]))
    invert = Invertd("pred", transform, "image", nearest_interp=False)
    native = invert({"image": sample["image"], "pred": sample["label"].clone()})["pred"]
    written = nib.load(files["label"])
    np.testing.assert_allclose(native.affine, written.affine)
    wrong = ((native[1].numpy() > 0.5) != (np.asarray(written.dataobj) > 0)).mean()
    assert wrong == 0 if spacing_mm != 1.5 else wrong < 0.02


def test_down_sampling_keeps_a_fourth_of_the_noise_and_the_background_exact(tmp_path: Path) -> None:
    """Every second voxel would keep all of it; the kernel's own root of squares is the oracle."""
    noisy = np.zeros((48, 52, 56), np.float32)
    noisy[6:42, 6:46, 6:50] = np.random.default_rng(0).normal(1000, 100, (36, 40, 44))
    path = tmp_path / "A_t1.nii.gz"
    nib.save(nib.Nifti1Image(noisy, np.eye(4)), path)
    image = MetaTensor(torch.from_numpy(noisy)[None], affine=torch.eye(4))
    filtered = LowPassd("image", 2.0)({"image": image})["image"][0].numpy()[10:38:2, 10:42:2, 10:46:2]
    kernel = np.exp(-0.5 * (np.arange(-4, 5) / np.sqrt(3 / (8 * np.log(2)))) ** 2)
    kernel /= kernel.sum()
    assert filtered.std() / 100 == pytest.approx((kernel**2).sum() ** 1.5, rel=0.05)
    assert (kernel**2).sum() ** 1.5 < 0.26
    entry = {"subject": "A", "image": {"t1": str(path)}}
    sample = cached_transforms(spacing_mm=2.0, half=False)(items([entry], ("t1",))[0])
    assert int((sample["image"] != 0).sum()) == 18 * 20 * 22


def test_the_filter_leaves_means_edges_and_finer_grids_alone() -> None:
    flat = torch.zeros(2, 12, 14, 16)
    flat[:, 3:9, 3:11, 3:13] = 7.0
    assert torch.allclose(low_pass(flat, [0.7, 0.7, 0.7]), flat)
    image = MetaTensor(torch.rand(1, 6, 6, 6), affine=2 * torch.eye(4))
    for spacing_mm in (None, 2.0, 1.0, [1.0, 2.0, 2.0]):
        assert torch.equal(LowPassd("image", spacing_mm)({"image": image})["image"], image)
    assert LowPassd("image", [2.0, 4.0, 1.0]).sigmas([2.0, 2.0, 2.0]) == pytest.approx([0, 0.7355, 0], abs=1e-4)


def test_a_label_is_not_needed(tmp_path: Path) -> None:
    entry = entry_of(write_case(tmp_path, "A"))
    del entry["label"]
    assert set(sample_of(entry)) == {"image", "subject"}


def test_a_sequence_that_the_entry_lacks_is_named(tmp_path: Path) -> None:
    entry = entry_of(write_case(tmp_path, "A"))
    del entry["image"]["t2"]
    with pytest.raises(ValueError, match=r"subject A.*t2"):
        items([entry], FOUR)


def test_what_every_subject_has_is_cached_whoever_reads_it(tmp_path: Path) -> None:
    data = write_brats(tmp_path / "data", 3)
    assert Datalist.load(data, modalities="t1ce", fold="all").sequences == FOUR
    next(data.rglob("S00_t2.nii.gz")).unlink()
    assert Datalist.load(data, modalities="t1ce", fold="all").sequences == ("t1", "t1ce", "flair")


def unsound(files: dict[str, Path]) -> dict[str, Any]:
    """How an image may be, of which no network asks anything."""
    image = nib.load(files["t2"])
    return {
        "truncated": lambda: files["t2"].write_bytes(files["t2"].read_bytes()[:100]),
        "of other size": lambda: nib.save(nib.Nifti1Image(np.ones((4, 5, 6), np.int16), image.affine), files["t2"]),
        "moved": lambda: nib.save(nib.Nifti1Image(image.get_fdata() + 1, image.affine + np.eye(4)), files["t2"]),
    }


@pytest.mark.parametrize("fault", ["truncated", "of other size", "moved"])
@pytest.mark.parametrize("layout", ["labelled", "unlabelled"])
def test_an_image_that_no_network_reads_may_be_broken(
    fault: str, layout: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a labelled subject or of an unlabelled one; networks that read it refuse it."""
    data, more = write_brats(tmp_path / "data"), tmp_path / "more"
    for number in range(2):
        files = write_case(more, f"U{number}", seed=50 + number)
    if layout == "labelled":
        files = write_case(data / "HGG" / "S00", "S00")
    unsound(files)[fault]()
    with pytest.raises(UserError, match=str(files["t2"])):
        Datalist.load(data, unlabelled=more)
    teacher, student = (
        Datalist.load(data, modalities=names, unlabelled=more, remember=tmp_path / "memory.json")
        for names in ("t1-t1ce-flair", "t1ce")
    )
    assert str(files["t2"]) in caplog.text
    assert teacher.sequences == student.sequences == ("t1", "t1ce", "flair")  # one cache
    everyone = [*student.train, *student.val, *student.test, *student.unlabelled.entries]
    assert all(len(sample["image"]) == 3 for sample in cache_dataset(everyone, student.sequences, cached_transforms()))


# --- the caches


@pytest.mark.parametrize(("cache", "kind"), [("memory", CacheDataset), ("disk", PersistentDataset)])
def test_a_cached_sample_is_what_the_transforms_give(
    datalist: Datalist, tmp_path: Path, cache: str, kind: type
) -> None:
    transform = cached_transforms()
    for _ in range(2):  # written, then read
        dataset = cache_dataset(datalist.train, FOUR, transform, cache, tmp_path / "cache")
        assert type(dataset) is kind
        for number, entry in enumerate(datalist.train):
            assert same(dataset[number], sample_of(entry))
            assert dataset[number]["subject"] == entry["subject"]
            assert not isinstance(dataset[number]["image"], MetaTensor)


IN_PLACE = [
    RandCoarseDropoutd("image", holes=2, spatial_size=3, fill_value=0, prob=1),
    RandCoarseShuffled(["image", "label"], holes=2, spatial_size=3, prob=1),
    NormalizeIntensityd("image", channel_wise=True),
]
"""Stock transforms that write into what they get."""


@pytest.mark.parametrize("cache", ["memory", "disk"])
def test_what_follows_does_not_change_the_cache(datalist: Datalist, tmp_path: Path, cache: str) -> None:
    dataset = cache_dataset(datalist.train, FOUR, cached_transforms(), cache, tmp_path / "cache")
    before = copy.deepcopy(dataset[0])
    SeededDataset(dataset, shipped("train#dataset#random_transform", roi_size=[8, 8, 8]))[0]
    for transform in IN_PLACE:
        SeededDataset(dataset, [transform])[0]
    SeededDataset(dataset, [*FLOAT_REGIONS, RandScaleIntensityd("image", factors=0.5, prob=1)])[0]
    assert same(dataset[0], before)


@pytest.mark.parametrize("cache", ["memory", "disk"])
def test_a_bar_is_for_terminals(
    datalist: Datalist, tmp_path: Path, cache: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cache_dataset(datalist.train, FOUR, cached_transforms(), cache, tmp_path / "cache")
    assert "it/s" not in capsys.readouterr().err


@pytest.mark.parametrize("cache", ["memory", "disk"])
def test_parallel_builds_equal_the_serial_one(tmp_path: Path, cache: str) -> None:
    """MONAI's own readers keep state between two lines: threads that share one mix up files."""
    entries = Datalist.load(write_brats(tmp_path / "data", 12), fold="all").train
    serial = [sample_of(entry, spacing_mm=3.0) for entry in entries]
    for attempt in range(6):
        made = cache_dataset(entries, FOUR, cached_transforms(spacing_mm=3.0), cache, tmp_path / f"{attempt}", 8)
        assert all(same(made[number], expected) for number, expected in enumerate(serial))


def test_a_half_written_file_is_made_again(
    datalist: Datalist, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache_dataset(datalist.train, FOUR, cached_transforms(), "disk", tmp_path / "cache")
    path = next((tmp_path / "cache").iterdir())
    whole = path.read_bytes()
    for damaged in (whole[:-100], b""):
        path.write_bytes(damaged)
        caplog.clear()
        dataset = cache_dataset(datalist.train, FOUR, cached_transforms(), "disk", tmp_path / "cache")
        assert all(same(dataset[number], sample_of(entry)) for number, entry in enumerate(datalist.train))
        assert "damaged" in caplog.text


def test_one_disk_cache_serves_teacher_and_students_and_all_folds(tmp_path: Path) -> None:
    data, cache = write_brats(tmp_path / "data", 4), tmp_path / "cache"
    for fold, read in ((0, "t1-t1ce-t2-flair"), (1, "t1ce"), (0, "flair-t1ce")):
        datalist = Datalist.load(data, modalities=read, folds=2, fold=fold)
        everyone = [*datalist.train, *datalist.val, *datalist.test]
        cache_dataset(everyone, datalist.sequences, cached_transforms(), "disk", cache)
        assert len(list(cache.iterdir())) == 4


def test_settings_have_files_of_their_own(datalist: Datalist, tmp_path: Path) -> None:
    settings = [{}, {"spacing_mm": 4.0}, {"half": False}, {"convention": "brats2023"}, {"spacing_mm": 4.0}]
    counts = []
    for some in settings:
        cache_dataset(datalist.train, FOUR, cached_transforms(**some), "disk", tmp_path / "cache")
        counts.append(len(list((tmp_path / "cache").iterdir())) // len(datalist.train))
    assert counts == [1, 2, 3, 4, 4]


def test_a_transform_is_described_alike_in_every_process_and_its_arguments_show() -> None:
    one, again, other = (cached_transforms(spacing_mm=mm).flatten().transforms for mm in (2.0, 2.0, 3.0))
    assert described(one) == described(again) != described(other)
    assert " at 0x" not in str(described(one))


def test_a_transform_that_was_used_is_described_as_before(tmp_path: Path) -> None:
    """Or the validation part, which is cached second, would have files of its own."""
    datalist = Datalist.load(write_brats(tmp_path / "data", 4), folds=2)
    transform = cached_transforms(spacing_mm=2.0)
    for _ in range(2):
        for part in (datalist.train, datalist.val):
            cache_dataset(part, FOUR, transform, "disk", tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == len(datalist.train) + len(datalist.val)


def test_a_changed_source_is_cached_anew(datalist: Datalist, tmp_path: Path) -> None:
    entry = datalist.train[0]
    before = cache_dataset([entry], FOUR, cached_transforms(), "disk", tmp_path / "cache")[0]
    path = save(Path(entry["image"]["t1"]), volumes(99)["t1"], AFFINE)
    os.utime(path, ns=(1, 1))
    after = cache_dataset([entry], FOUR, cached_transforms(), "disk", tmp_path / "cache")[0]
    assert not torch.equal(before["image"], after["image"])


def test_one_file_of_two_subjects_is_two_samples_on_disk(tmp_path: Path) -> None:
    files = write_case(tmp_path, "A")
    for name in ("A", "B"):
        (sample,) = cache_dataset([entry_of(files, name)], FOUR, cached_transforms(), "disk", tmp_path / "cache")
        assert sample["subject"] == name


@pytest.mark.parametrize("select", [lambda image: image > 0, partial(max, key=lambda image: image)])
def test_a_disk_cache_refuses_what_it_cannot_tell_from_others(datalist: Datalist, tmp_path: Path, select: Any) -> None:
    transform = Compose([CropForegroundd("image", "image", select_fn=select)])
    with pytest.raises(UserError, match=r"lambda.*CACHE=memory"):
        cache_dataset(datalist.train, FOUR, transform, "disk", tmp_path / "cache")


class Scaler:
    """Something of a user's."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def apply(self, image: Any) -> Any:
        return image * self.factor


def test_arguments_of_transforms_tell_disk_caches_apart() -> None:
    assert described(Scaler(2).apply) == described(Scaler(2).apply) != described(Scaler(3).apply)
    assert described(torch.zeros(2, dtype=torch.bfloat16)) != described(torch.ones(2, dtype=torch.bfloat16))
    one, other, arrays = partial(max, 1), partial(max, 2), [np.zeros(2000), np.append(np.zeros(1999), 1)]
    assert described(one) != described(other)
    assert described(arrays[0]) != described(arrays[1])


def test_runs_that_start_at_once_build_a_disk_cache_once(
    datalist: Datalist, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []
    read_volume = reader.read_volume

    def slowly(path: str | Path) -> object:
        reads.append(str(path))
        time.sleep(0.02)
        return read_volume(path)

    monkeypatch.setattr(reader, "read_volume", slowly)
    transforms = [cached_transforms() for _ in range(3)]
    together = threading.Barrier(3)

    def build(transform: Compose) -> None:
        together.wait()
        cache_dataset(datalist.train, FOUR, transform, "disk", tmp_path / "cache")

    runs = [threading.Thread(target=build, args=(transform,)) for transform in transforms]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert len(reads) == len(set(reads)) == 5 * len(datalist.train)


def test_a_4d_file_is_read_once_for_all_its_channels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datalist = Datalist.load(write_msd(tmp_path / "data"), fold="all")
    reads: list[str] = []
    read_volume = reader.read_volume
    monkeypatch.setattr(reader, "read_volume", lambda path: reads.append(str(path)) or read_volume(path))
    cache_dataset(datalist.train, FOUR, cached_transforms("msd"))
    assert len(reads) == 2 * len(datalist.train)


@pytest.mark.parametrize(("cache", "complaint"), [("ram", "CACHE must be memory or disk"), ("disk", "needs a folder")])
def test_another_cache_is_named(datalist: Datalist, cache: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        cache_dataset(datalist.train, FOUR, cached_transforms(), cache)


def test_validation_samples_pass_a_loader(datalist: Datalist, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        dataset = cache_dataset(datalist.val, FOUR, cached_transforms())
    assert "MiB each" in caplog.text
    (batch, *_) = DataLoader(SeededDataset(dataset, FLOAT_REGIONS), batch_size=1)
    assert batch["image"].shape == (1, 4, 7, 9, 7)
    assert batch["label"].shape == (1, 3, 7, 9, 7)


def test_a_real_case_takes_30_mib_at_1_mm_and_an_eighth_of_it_at_2(real_cases: Path) -> None:
    datalist = Datalist.load(real_cases, check=False)
    for entry in datalist.val:
        sample = sample_of(entry)
        expected_mib = 28 / float(sample["image"].pixdim.prod())
        assert sample_bytes(sample) / 2**20 == pytest.approx(expected_mib, rel=0.3)
