"""Augmentation that depends on seed, epoch and subject, and on nothing else."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from monai.transforms import Compose
from torch.utils.data import Dataset


def item_seed(seed: int, epoch: int, repeat: int, subject: str) -> int:
    """32 bits of sha256 of the four."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{epoch}/{repeat}/{subject}".encode()).digest()[:4], "big")


class SeededDataset(Dataset):
    """Applies a random transform to a cached sample, its state set from (seed, epoch, repeat, subject) each time.

    An index is what ``EpochSampler`` yields, or a plain number for epoch 0: neither the worker count, the order of
    visits nor a resume changes what a subject looks like in an epoch.
    """

    def __init__(self, dataset: Dataset, random_transform: Callable | Sequence[Callable], seed: int = 0) -> None:
        self.dataset = dataset
        self.random_transform = random_transform if isinstance(random_transform, Compose) else Compose(random_transform)
        self.seed = seed

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int | tuple[int, int, int]) -> Any:
        epoch, repeat, number = index if isinstance(index, tuple) else (0, 0, index)
        sample = self.dataset[number]
        self.random_transform.set_random_state(seed=item_seed(self.seed, epoch, repeat, sample["subject"]))
        return self.random_transform(sample)
