"""Augmentation that is the same whoever makes it, whenever."""

from __future__ import annotations

import pytest
import torch
from monai.data import DataLoader
from monai.transforms import Compose, EnsureTyped, RandFlipd, RandScaleIntensityd, RandSpatialCropd
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


def loaded(workers: int, epoch: int = 1) -> list[torch.Tensor]:
    sampler = EpochSampler(6, 12, seed=0)
    sampler.set_epoch(epoch)
    loader = DataLoader(augmented(), sampler=sampler, batch_size=3, num_workers=workers)
    return [batch["image"] for batch in loader]


def test_the_worker_count_changes_nothing() -> None:
    for alone, shared in zip(loaded(0), loaded(2), strict=True):
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
