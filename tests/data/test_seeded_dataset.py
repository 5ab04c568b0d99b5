"""Augmentation that is the same whoever makes it, whenever."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from monai.data import DataLoader, MetaTensor, get_track_meta, set_track_meta
from monai.transforms import (
    Compose,
    EnsureTyped,
    Orientationd,
    RandFlipd,
    RandScaleIntensityd,
    RandSpatialCropd,
    Spacingd,
    Transform,
)
from torch.utils.data import Dataset

from kd_monai.data import EpochSampler, SeededDataset, collate


class Subjects(Dataset):
    """Six subjects, each an image of its own."""

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> dict[str, object]:
        image = torch.arange(6 * 7 * 8).reshape(1, 6, 7, 8).half() + 1000 * index
        return {"image": image, "subject": f"S{index}"}


def augmented(seed: int = 0, track_meta: bool = True) -> SeededDataset:
    transforms = [
        RandSpatialCropd("image", 4, random_size=False),
        EnsureTyped("image", dtype=torch.float32, track_meta=False),
        RandFlipd("image", prob=0.5, spatial_axis=0),
        RandScaleIntensityd("image", factors=0.1, prob=1),
    ]
    return SeededDataset(Subjects(), Compose(transforms), seed, track_meta)


def loaded(workers: int, batch_size: int, track_meta: bool, **more: Any) -> list[torch.Tensor]:
    sampler = EpochSampler(6, 12, seed=0)
    sampler.set_epoch(1)
    dataset = augmented(track_meta=track_meta)
    return [batch["image"] for batch in DataLoader(dataset, workers, sampler=sampler, batch_size=batch_size, **more)]


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("more", [{}, {"collate_fn": collate}], ids=["monais-batch", "ours"])
def test_neither_the_worker_count_nor_the_way_to_a_batch_changes_anything(batch_size: int, more: Any) -> None:
    expected = loaded(0, batch_size, True)
    for workers in (0, 2):
        for batch, other in zip(loaded(workers, batch_size, False, **more), expected, strict=True):
            assert torch.equal(batch, other)


def test_workers_that_are_not_forked_give_the_same() -> None:
    for alone, shared in zip(loaded(0, 1, False), loaded(1, 1, False, multiprocessing_context="spawn"), strict=True):
        assert torch.equal(alone, shared)


def test_the_order_of_visits_changes_nothing() -> None:
    dataset = augmented()
    first = dataset[1, 0, 3]["image"]
    dataset[1, 0, 2], dataset[4, 1, 3]
    assert torch.equal(dataset[1, 0, 3]["image"], first)


@pytest.mark.parametrize("index", [(2, 0, 3), (1, 1, 3)])
def test_epochs_and_repeats_differ(index: tuple[int, int, int]) -> None:
    assert not torch.equal(augmented()[index]["image"], augmented()[1, 0, 3]["image"])


def test_seeds_differ() -> None:
    assert not torch.equal(augmented(1)[1, 0, 3]["image"], augmented(2)[1, 0, 3]["image"])


def test_subjects_are_known_by_name_not_by_place() -> None:
    one, other = augmented(), augmented()
    shifted = type("Shifted", (Subjects,), {"__getitem__": lambda self, index: Subjects.__getitem__(self, index + 1)})
    other.dataset = shifted()
    assert torch.equal(one[1, 0, 3]["image"], other[1, 0, 2]["image"])


def test_a_plain_index_is_epoch_0() -> None:
    assert torch.equal(augmented()[3]["image"], augmented()[0, 0, 3]["image"])


class Tracked(Subjects):
    """The same, as a cache gives them."""

    def __getitem__(self, index: int) -> dict[str, object]:
        sample = super().__getitem__(index)
        assert get_track_meta()  # what a cache puts together needs it
        return {**sample, "image": MetaTensor(sample["image"], affine=2 * torch.eye(4))}


def seen(track_meta: bool, broken: bool = False) -> tuple[SeededDataset, list[object]]:
    """A data set, and what its random transforms are shown."""
    shown: list[object] = []

    class Watch(Transform):
        def __call__(self, data: dict[str, object]) -> dict[str, object]:
            shown.append(data["image"])
            if broken:
                raise ValueError("broken")
            return data

    flips = [RandFlipd("image", prob=0.5, spatial_axis=axis) for axis in range(3)]
    return SeededDataset(Tracked(), Compose([*flips, Watch()]), track_meta=track_meta), shown


def test_without_metadata_the_voxels_are_the_same() -> None:
    (tracked, with_meta), (plain, without) = seen(True), seen(False)
    for index in range(6):
        assert torch.equal(tracked[index]["image"].as_tensor(), plain[index]["image"])
    assert all(isinstance(image, MetaTensor) for image in with_meta)
    assert not any(isinstance(image, MetaTensor) for image in without)


@pytest.mark.parametrize("broken", [False, True])
def test_only_the_random_transforms_go_without_metadata(broken: bool) -> None:
    dataset, shown = seen(False, broken)
    with pytest.raises(RuntimeError) if broken else nullcontext():
        dataset[0]
    assert shown
    assert get_track_meta()


def test_a_switch_that_was_off_stays_off() -> None:
    dataset = augmented(track_meta=False)
    set_track_meta(False)
    try:
        dataset[0]
        assert not get_track_meta()
    finally:
        set_track_meta(True)


def test_another_thread_does_not_touch_the_switch_that_all_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is its sample another one."""
    dataset, other = augmented(track_meta=False), augmented(track_meta=False)
    alone = other[0]["image"]
    set_by: list[threading.Thread] = []
    monkeypatch.setattr(
        "kd_monai.data.seeded_dataset.set_track_meta",
        lambda value: set_by.append(threading.current_thread()) or set_track_meta(value),
    )

    def in_another_thread(data: Any) -> Any:
        with ThreadPoolExecutor(1) as pool:
            assert torch.equal(pool.submit(other.__getitem__, 0).result()["image"], alone)
        return data

    dataset.random_transform.transforms += (in_another_thread,)
    dataset[0]
    assert set_by == [threading.main_thread()] * 2
    assert get_track_meta()


@pytest.mark.parametrize(
    "needing",
    [
        lambda: Compose([RandFlipd("image")], lazy=True),
        lambda: Compose([Compose([RandFlipd("image", lazy=True)])]),
        lambda: Compose([Spacingd("image", pixdim=2.0), RandFlipd("image")]),
        lambda: [Orientationd("image", axcodes="RAS", labels=None)],
    ],
    ids=["lazy", "one-lazy", "spacing", "orientation"],
)
def test_transforms_that_need_metadata_are_refused_without(needing: Any) -> None:
    with pytest.raises(ValueError, match=r"need metadata; got one, and no `track_meta`\. Set `train#dataset"):
        SeededDataset(Tracked(), needing())
    assert SeededDataset(Tracked(), needing(), track_meta=True)[0]["image"].shape == (1, 6, 7, 8)
