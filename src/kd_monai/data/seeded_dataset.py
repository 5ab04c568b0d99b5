"""Augmentation that depends on seed, epoch and subject, and on nothing else."""

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from monai.data import MetaTensor, get_track_meta, set_track_meta
from monai.transforms import Compose, Orientation, Orientationd, Spacing, Spacingd
from torch.utils.data import Dataset

from kd_monai.data.reseed import Reseed


def item_seed(seed: int, epoch: int, repeat: int, subject: str) -> int:
    """32 bits of sha256 of the four."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{epoch}/{repeat}/{subject}".encode()).digest()[:4], "big")


@contextmanager
def _untracked() -> Iterator[None]:
    """MONAI's transforms neither take nor give MetaTensors meanwhile; its switch is one for all threads."""
    before = get_track_meta()
    set_track_meta(False)
    try:
        yield
    finally:
        set_track_meta(before)


def _needs_meta(transform: object) -> bool:
    """It reads the affine, or gathers its work in the metadata."""
    parts = transform.transforms if isinstance(transform, Compose) else ()
    reads = isinstance(transform, (Orientation, Orientationd, Spacing, Spacingd))
    return reads or bool(getattr(transform, "lazy", False)) or any(map(_needs_meta, parts))


class SeededDataset(Dataset):
    """Applies a random transform to a cached sample, its state set from (seed, epoch, repeat, subject) each time.

    An index is what ``EpochSampler`` yields, or a plain number for epoch 0: neither the worker count, the order of
    visits nor a resume changes what a subject looks like in an epoch.

    Args:
        dataset: samples with ``subject``.
        random_transform: a Compose, or what it is made of.
        seed: of the run.
        track_meta: whether the random transforms see MetaTensors and trace what they do. By default they see the
            tensors alone, which is faster; a transform that reads the affine would take the identity for it. MONAI's
            switch is one for all threads, and touched by the main one alone: other threads see MetaTensors all the
            same, and what they transform while the main one is at it loses its metadata.

    Raises:
        ValueError: lazy transforms, ``Spacing`` or ``Orientation`` without ``track_meta``.
    """

    def __init__(
        self,
        dataset: Dataset,
        random_transform: Callable | Sequence[Callable],
        seed: int = 0,
        track_meta: bool = False,
    ) -> None:
        compose = random_transform if isinstance(random_transform, Compose) else Compose(random_transform)
        if not track_meta and _needs_meta(compose):
            raise ValueError(
                "Random transforms that are lazy, resample to a spacing or turn to an orientation need metadata; got "
                "one, and no `track_meta`. Set `train#dataset#track_meta: true`."
            )
        self.dataset = dataset
        self.seed = seed
        self.track_meta = track_meta
        self._reseed = Reseed(compose)

    @property
    def random_transform(self) -> Compose:
        """Applied to every sample."""
        return self._reseed.compose

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int | tuple[int, int, int]) -> Any:
        epoch, repeat, number = index if isinstance(index, tuple) else (0, 0, index)
        sample = self.dataset[number]
        self._reseed(item_seed(self.seed, epoch, repeat, sample["subject"]))
        if self.track_meta or threading.current_thread() is not threading.main_thread():
            return self.random_transform(sample)
        plain = {key: value.as_tensor() if isinstance(value, MetaTensor) else value for key, value in sample.items()}
        with _untracked():
            return self.random_transform(plain)
