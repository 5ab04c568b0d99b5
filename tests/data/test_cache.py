"""Cached samples are those that the transforms give, however they are kept."""

from __future__ import annotations

import copy
import logging
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import DataLoader, MetaTensor
from monai.transforms import Compose, Invertd, Orientationd, RandScaleIntensityd
from small_cases import SHAPE, save, volumes, write_brats, write_msd

from kd_monai.data import (
    Datalist,
    SeededDataset,
    cache_dataset,
    cache_upper_bound,
    cached_transforms,
    crop_volume,
    region_transforms,
)
from kd_monai.data.volume import read_volume


def sample_bytes(sample: dict) -> int:
    return sum(value.nbytes for value in sample.values() if isinstance(value, torch.Tensor))


@pytest.fixture
def datalist(tmp_path: Path) -> Datalist:
    return Datalist.load(write_brats(tmp_path / "data", 3), fold="all")


def same(one: dict, other: dict) -> bool:
    return all(torch.equal(one[key].as_tensor(), other[key].as_tensor()) for key in ("image", "label"))


@pytest.mark.parametrize("cache", ["memory", "disk"])
def test_a_cached_sample_is_what_the_transforms_give(datalist: Datalist, tmp_path: Path, cache: str) -> None:
    transform = cached_transforms(datalist.modalities)
    for _ in range(2):  # written, then read
        dataset = cache_dataset(datalist.train, transform, cache, tmp_path / "cache")
        for index, entry in enumerate(datalist.train):
            direct = transform(entry)
            assert same(dataset[index], direct)
            assert dataset[index]["subject"] == entry["subject"]
            assert isinstance(dataset[index]["image"], MetaTensor)
            traced = [operation["class"] for operation in dataset[index]["image"].applied_operations]
            assert traced == [operation["class"] for operation in direct["image"].applied_operations] != []


@pytest.mark.parametrize("cache", ["memory", "disk"])
def test_a_bar_is_for_terminals(
    datalist: Datalist, tmp_path: Path, cache: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cache_dataset(datalist.train, cached_transforms(datalist.modalities), cache, tmp_path / "cache")
    assert "Caching:" not in capsys.readouterr().err


@pytest.mark.parametrize("cache", ["memory", "disk"])
def test_what_follows_does_not_change_the_cache(datalist: Datalist, tmp_path: Path, cache: str) -> None:
    dataset = cache_dataset(datalist.train, cached_transforms(datalist.modalities), cache, tmp_path / "cache")
    before = copy.deepcopy(dataset[0])
    transforms = [*region_transforms(), RandScaleIntensityd("image", factors=0.5, prob=1)]
    SeededDataset(dataset, Compose(transforms), seed=0)[0]
    assert same(dataset[0], before)
    assert str(dataset[0]["image"].applied_operations) == str(before["image"].applied_operations)


def test_the_bound_from_the_headers_is_kept(datalist: Datalist, caplog: pytest.LogCaptureFixture) -> None:
    transform = cached_transforms(datalist.modalities)
    assert cache_upper_bound(datalist.train, transform) == 3 * int(np.prod(SHAPE)) * (4 * 2 + 1)
    with caplog.at_level(logging.INFO):
        dataset = cache_dataset(datalist.train, transform)
    assert sum(sample_bytes(dataset[index]) for index in range(3)) <= cache_upper_bound(datalist.train, transform)
    first, second = (record.getMessage() for record in caplog.records if record.name == "kd_monai.data.cache")
    assert "at most" in first
    assert "MiB each" in second


@pytest.mark.parametrize("half", [True, False])
@pytest.mark.parametrize("spacing_mm", [1, 3, 4.1])
def test_the_bound_holds_for_another_spacing(datalist: Datalist, spacing_mm: float, half: bool) -> None:
    transform = cached_transforms(datalist.modalities, spacing_mm=spacing_mm, crop=False, half=half)
    total = sum(sample_bytes(transform(entry)) for entry in datalist.train)
    assert total <= cache_upper_bound(datalist.train, transform) < 2 * total


def test_a_damaged_file_is_built_again(datalist: Datalist, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    transform = cached_transforms(datalist.modalities)
    dataset = cache_dataset(datalist.train, transform, "disk", tmp_path / "cache")
    path = next((tmp_path / "cache").iterdir())
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1  # numpy and torch would take this without a word
    for damaged in (bytes(flipped), whole[:-100], b""):
        path.write_bytes(damaged)
        caplog.clear()
        assert all(same(dataset[index], transform(datalist.train[index])) for index in range(3))
        assert "damaged" in caplog.text
        assert path.read_bytes()[:4] == whole[:4]


def test_files_are_shared_by_folds_and_not_by_settings(tmp_path: Path) -> None:
    data, cache = write_brats(tmp_path / "data", 4), tmp_path / "cache"
    for fold in (0, 1):
        datalist = Datalist.load(data, folds=2, fold=fold)
        cache_dataset([*datalist.train, *datalist.val, *datalist.test], cached_transforms("t1-t2"), "disk", cache)
    assert len(list(cache.iterdir())) == 4 * 3
    for transform in (
        cached_transforms("t1"),  # nothing new
        cached_transforms("t1-t2", spacing_mm=4),  # all three
        cached_transforms("t1-t2", half=False),  # the images
        cached_transforms("t1-t2", "brats2023"),  # the label
    ):
        cache_dataset(datalist.train, transform, "disk", cache)
    assert len(list(cache.iterdir())) == 4 * 3 + (3 + 2 + 1) * len(datalist.train)


def test_a_changed_source_is_cached_anew(datalist: Datalist, tmp_path: Path) -> None:
    transform, entry = cached_transforms("t1"), datalist.train[0]
    before = cache_dataset([entry], transform, "disk", tmp_path / "cache")[0]
    path = save(Path(entry["image"]["t1"]), volumes(99)["t1"])
    os.utime(path, ns=(1, 1))
    after = cache_dataset([entry], transform, "disk", tmp_path / "cache")[0]
    assert not torch.equal(before["image"].as_tensor(), after["image"].as_tensor())


def test_validation_samples_pass_a_loader_with_their_operations(datalist: Datalist) -> None:
    dataset = cache_dataset(datalist.val, cached_transforms(datalist.modalities))
    (batch,) = DataLoader(SeededDataset(dataset, region_transforms(), track_meta=True), batch_size=1)
    assert batch["image"].shape == (1, 4, 7, 9, 7)
    assert batch["image"].applied_operations[0]


@pytest.mark.parametrize(("cache", "complaint"), [("ram", "CACHE must be memory or disk"), ("disk", "needs a folder")])
def test_another_cache_is_named(datalist: Datalist, cache: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        cache_dataset(datalist.train, cached_transforms("t1"), cache)


def test_a_real_case_takes_30_mib_at_1_mm_and_an_eighth_of_it_at_2(real_cases: Path) -> None:
    datalist = Datalist.load(real_cases, check=False)
    transform = cached_transforms(datalist.modalities)
    for entry in datalist.val:
        sample = transform(entry)
        expected_mib = 28 / float(sample["image"].pixdim.prod())
        assert sample_bytes(sample) / 2**20 == pytest.approx(expected_mib, rel=0.3)


@pytest.mark.parametrize("cache", ["memory", "disk"])
def test_parallel_builds_equal_the_serial_one(tmp_path: Path, cache: str) -> None:
    """MONAI 1.6.1's readers and crops keep state between two lines: threads that share one mix up modalities."""
    datalist = Datalist.load(write_brats(tmp_path / "data", 12), fold="all")
    entries, transform = datalist.train, cached_transforms(datalist.modalities, spacing_mm=1.5)
    serial = [transform(entry) for entry in entries]
    for attempt in range(8):
        made = cache_dataset(entries, transform, cache, tmp_path / f"cache{attempt}", workers=8)
        for index, expected in enumerate(serial):
            assert same(made[index], expected)
            assert made[index]["image"].meta["filename_or_obj"] == expected["image"].meta["filename_or_obj"]


def test_no_two_threads_share_a_transform(datalist: Datalist, monkeypatch: pytest.MonkeyPatch) -> None:
    users: dict[int, set[int]] = {}
    turn = Orientationd.__call__
    monkeypatch.setattr(
        Orientationd,
        "__call__",
        lambda self, *args: users.setdefault(id(self), set()).add(threading.get_ident()) or turn(self, *args),
    )
    cache_dataset(datalist.train * 4, cached_transforms("t1"), workers=4)
    assert all(len(threads) == 1 for threads in users.values())


def test_one_disk_cache_serves_teacher_and_students(datalist: Datalist, tmp_path: Path) -> None:
    cache, subjects = tmp_path / "cache", len(datalist.train)
    for transform, files in (
        (cached_transforms("t1ce"), 2),  # a baseline reads its modality and the label
        (cached_transforms(datalist.modalities), 5),  # the teacher adds the others
        (cached_transforms(datalist.modalities, crop_modalities="t1ce"), 5),
        (cached_transforms("flair", with_label=False), 5),
    ):
        dataset = cache_dataset(datalist.train, transform, "disk", cache)
        assert len(list(cache.iterdir())) == files * subjects
        for index, entry in enumerate(datalist.train):
            assert torch.equal(dataset[index]["image"].as_tensor(), transform(entry)["image"].as_tensor())


def test_channels_of_one_file_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datalist = Datalist.load(write_msd(tmp_path / "data"), fold="all")
    reads: list[str] = []
    monkeypatch.setattr(crop_volume, "read_volume", lambda path: reads.append(path) or read_volume(path))
    transform = cached_transforms(datalist.modalities, datalist.convention)
    dataset = cache_dataset(datalist.train, transform, "disk", tmp_path / "cache")
    assert len(reads) == 2 * len(datalist.train)
    assert len(list((tmp_path / "cache").iterdir())) == 5 * len(datalist.train)
    assert all(same(dataset[index], transform(entry)) for index, entry in enumerate(datalist.train))


def test_runs_that_start_at_once_build_a_disk_cache_once(
    datalist: Datalist, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []

    def slowly(path: Path) -> object:
        reads.append(str(path))
        time.sleep(0.02)
        return read_volume(path)

    monkeypatch.setattr(crop_volume, "read_volume", slowly)
    together = threading.Barrier(3)

    def build() -> None:
        together.wait()
        cache_dataset(datalist.train, cached_transforms(datalist.modalities), "disk", tmp_path / "cache")

    runs = [threading.Thread(target=build) for _ in range(3)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert len(reads) == len(set(reads)) == 5 * len(datalist.train)


@pytest.mark.parametrize("cache", ["memory", "disk"])
def test_a_cached_prediction_returns_to_the_native_grid(datalist: Datalist, tmp_path: Path, cache: str) -> None:
    transform = cached_transforms(datalist.modalities)
    sample = cache_dataset(datalist.train, transform, cache, tmp_path / "cache")[0]
    invert = Invertd("pred", transform, "image", nearest_interp=False)
    native = invert({"image": sample["image"], "pred": sample["label"].clone()})["pred"]
    np.testing.assert_array_equal(native[0].numpy(), volumes(0)["label"])
