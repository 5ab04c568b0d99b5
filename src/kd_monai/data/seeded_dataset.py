"""Augmentation that depends on seed, epoch and subject, and on nothing else."""

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from monai.data import MetaTensor, get_track_meta, set_track_meta
from monai.transforms import Compose
from torch.utils.data import Dataset

from kd_monai.data.reseed import Reseed


def item_seed(seed: int, epoch: int, repeat: int, subject: str) -> int:
    """32 bits of sha256 of the four."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{epoch}/{repeat}/{subject}".encode()).digest()[:4], "big")


@contextmanager
def _untracked() -> Iterator[None]:
    """MONAI's transforms neither take nor give MetaTensors; its switch is one for all threads, so only the main one."""
    before = get_track_meta()
    set_track_meta(before and threading.current_thread() is not threading.main_thread())
    try:
        yield
    finally:
        set_track_meta(before)


class SeededDataset(Dataset):
    """Applies a random transform to a cached sample, its state set from (seed, epoch, repeat, subject) each time.

    An index is what ``EpochSampler`` yields, or a plain number for epoch 0: neither the worker count, the order of
    visits nor a resume changes what a subject looks like in an epoch.

    Args:
        dataset: samples with ``subject``.
        random_transform: a Compose, or what it is made of.
        seed: of the run.
        track_meta: whether the random transforms see MetaTensors and trace what they do. Without, they see the tensors
            alone, which takes a third of an item's time less; what reads the affine, or is to be inverted, needs it.
    """

    def __init__(
        self,
        dataset: Dataset,
        random_transform: Callable | Sequence[Callable],
        seed: int = 0,
        track_meta: bool = True,
    ) -> None:
        self.dataset = dataset
        self.random_transform = random_transform if isinstance(random_transform, Compose) else Compose(random_transform)
        self.seed = seed
        self.track_meta = track_meta
        self._reseed = Reseed(self.random_transform)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int | tuple[int, int, int]) -> Any:
        epoch, repeat, number = index if isinstance(index, tuple) else (0, 0, index)
        sample = self.dataset[number]
        self._reseed(item_seed(self.seed, epoch, repeat, sample["subject"]))
        if self.track_meta:
            return self.random_transform(sample)
        plain = {key: value.as_tensor() if isinstance(value, MetaTensor) else value for key, value in sample.items()}
        with _untracked():
            return self.random_transform(plain)
