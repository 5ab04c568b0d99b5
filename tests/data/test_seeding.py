"""Order and augmentation are the same whoever makes them, whenever."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from monai.data import DataLoader, MetaTensor, get_track_meta, set_track_meta
from monai.engines import SupervisedTrainer
from monai.inferers import SimpleInferer
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

from kd_monai.data import EpochSampler, SeededDataset


class Subjects(Dataset):
    """Six subjects, each an image of its own."""

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> dict[str, object]:
        image = torch.arange(6 * 7 * 8).reshape(1, 6, 7, 8).half() + 1000 * index
        return {"image": image, "subject": f"S{index}"}


def augmented(seed: int = 0) -> SeededDataset:
    transforms = [
        RandSpatialCropd("image", 4, random_size=False),
        EnsureTyped("image", dtype=torch.float32, track_meta=False),
        RandFlipd("image", prob=0.5, spatial_axis=0),
        RandScaleIntensityd("image", factors=0.1, prob=1),
    ]
    return SeededDataset(Subjects(), Compose(transforms), seed)


def loaded(workers: int, batch_size: int, **more: Any) -> list[torch.Tensor]:
    sampler = EpochSampler(6, 12, seed=0)
    sampler.set_epoch(1)
    loader = DataLoader(augmented(), workers, sampler=sampler, batch_size=batch_size, **more)
    return [batch["image"] for batch in loader]


@pytest.mark.parametrize("batch_size", [1, 3])
def test_the_worker_count_changes_nothing(batch_size: int) -> None:
    for batch, other in zip(loaded(2, batch_size), loaded(0, batch_size), strict=True):
        assert torch.equal(batch, other)


@pytest.mark.slow
def test_workers_that_are_not_forked_give_the_same() -> None:
    for alone, shared in zip(loaded(0, 1), loaded(1, 1, multiprocessing_context="spawn"), strict=True):
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


def seen(broken: bool = False) -> tuple[SeededDataset, list[object]]:
    """A data set, and what its random transforms are shown."""
    shown: list[object] = []

    class Watch(Transform):
        def __call__(self, data: dict[str, object]) -> dict[str, object]:
            shown.append(data["image"])
            if broken:
                raise ValueError("broken")
            return data

    flips = [RandFlipd("image", prob=0.5, spatial_axis=axis) for axis in range(3)]
    return SeededDataset(Tracked(), Compose([*flips, Watch()])), shown


@pytest.mark.parametrize("broken", [False, True])
def test_only_the_random_transforms_go_without_metadata(broken: bool) -> None:
    dataset, shown = seen(broken)
    with pytest.raises(RuntimeError) if broken else nullcontext():
        dataset[0]
    assert shown
    assert not any(isinstance(image, MetaTensor) for image in shown)
    assert get_track_meta()


def test_a_switch_that_was_off_stays_off() -> None:
    set_track_meta(False)
    try:
        augmented()[0]
        assert not get_track_meta()
    finally:
        set_track_meta(True)


def test_another_thread_gets_the_same_and_does_not_touch_the_switch_that_all_share(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dataset, other = augmented(), augmented()
    alone = other[0]["image"]
    set_by: list[threading.Thread] = []
    monkeypatch.setattr(
        "kd_monai.data.augmentation.set_track_meta",
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
def test_transforms_that_need_metadata_are_refused(needing: Any) -> None:
    with pytest.raises(ValueError, match=r"without metadata; got \w+"):
        SeededDataset(Tracked(), needing())


def epoch_of(sampler: EpochSampler, epoch: int) -> list[tuple[int, int, int]]:
    sampler.set_epoch(epoch)
    return list(sampler)


def test_the_order_is_that_of_seed_and_epoch() -> None:
    first, again = EpochSampler(10, 10, seed=1), EpochSampler(10, 10, seed=1)
    assert epoch_of(first, 3) == epoch_of(again, 3) == epoch_of(first, 3)
    runs = [epoch_of(EpochSampler(10, 10, seed), epoch) for seed in (1, 2) for epoch in (1, 2)]
    assert len({tuple(index for _, _, index in run) for run in runs}) == 4


@pytest.mark.parametrize("num_samples", [3, 10, 25])
def test_no_subject_comes_twice_before_all_have_come(num_samples: int) -> None:
    samples = epoch_of(EpochSampler(10, num_samples), 0)
    assert len(samples) == len(EpochSampler(10, num_samples)) == num_samples
    counts = Counter(index for _, _, index in samples)
    assert max(counts.values()) - min(counts.get(index, 0) for index in range(10)) <= 1
    assert len({(repeat, index) for _, repeat, index in samples}) == num_samples


def test_ranks_share_an_epoch() -> None:
    whole = epoch_of(EpochSampler(5, 12, seed=4), 2)
    ranks = [epoch_of(EpochSampler(5, 12, seed=4, rank=rank, world_size=3), 2) for rank in range(3)]
    assert [ranks[position % 3][position // 3] for position in range(12)] == whole
    assert {len(EpochSampler(5, 10, rank=rank, world_size=3)) for rank in range(3)} == {4}


def test_an_epoch_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="n = 0"):
        EpochSampler(0, 4)


class Seen(Dataset):
    """Gives the index that it is asked for."""

    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: tuple[int, int, int]) -> dict[str, torch.Tensor]:
        return {"image": torch.zeros(1, 2), "label": torch.zeros(1, 2), "index": torch.tensor(index)}


@pytest.mark.parametrize("workers", [0, 2])
def test_monais_engine_sets_the_epoch_before_the_epochs_iterator_is_made(workers: int) -> None:
    sampler = EpochSampler(5, 4, seed=7)
    network = torch.nn.Linear(2, 2)
    seen: list[list[int]] = []

    def prepare_batch(batch: dict[str, torch.Tensor], *_: object, **__: object) -> tuple[torch.Tensor, torch.Tensor]:
        seen.extend(batch["index"].tolist())
        return batch["image"], batch["label"]

    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=3,
        train_data_loader=DataLoader(
            Seen(), sampler=sampler, batch_size=2, num_workers=workers, persistent_workers=workers > 0
        ),
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), 0.1),
        loss_function=torch.nn.MSELoss(),
        inferer=SimpleInferer(),
        prepare_batch=prepare_batch,
        decollate=False,
    )
    trainer.run()
    assert [tuple(index) for index in seen] == [sample for epoch in (1, 2, 3) for sample in epoch_of(sampler, epoch)]
