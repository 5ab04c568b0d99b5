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
    """MONAI's transforms neither take nor give MetaTensors meanwhile, where this is the main thread.

    The switch is one for all threads. Others leave it alone and go on with metadata; what they transform while the
    main one is in here loses its own.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = get_track_meta()
    set_track_meta(False)
    try:
        yield
    finally:
        set_track_meta(before)


def _is_lazy(transform: object) -> bool:
    parts = transform.transforms if isinstance(transform, Compose) else ()
    return bool(getattr(transform, "lazy", False)) or any(map(_is_lazy, parts))


class SeededDataset(Dataset):
    """Applies a random transform to a cached sample, its state set from (seed, epoch, repeat, subject) each time.

    An index is what ``EpochSampler`` yields, or a plain number for epoch 0: neither the worker count, the order of
    visits nor a resume changes what a subject looks like in an epoch.

    Args:
        dataset: samples with ``subject``.
        random_transform: a Compose, or what it is made of.
        seed: of the run.
        track_meta: whether the random transforms see MetaTensors and trace what they do. By default they see the
            tensors alone, which takes a third of the time off an item of 64^3. Transforms that read the affine (a
            resampling to mm) need them: without, they take the identity for it.

    Raises:
        ValueError: MONAI's lazy transforms, which work on MetaTensors, without ``track_meta``.
    """

    def __init__(
        self,
        dataset: Dataset,
        random_transform: Callable | Sequence[Callable],
        seed: int = 0,
        track_meta: bool = False,
    ) -> None:
        compose = random_transform if isinstance(random_transform, Compose) else Compose(random_transform)
        if _is_lazy(compose) and not track_meta:
            raise ValueError(
                "Lazy random transforms need the metadata that they gather their work in; got `lazy` and no "
                "`track_meta`. Set `train#dataset#track_meta: true`, or leave `lazy` out."
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
        if self.track_meta:
            return self.random_transform(sample)
        plain = {key: value.as_tensor() if isinstance(value, MetaTensor) else value for key, value in sample.items()}
        with _untracked():
            return self.random_transform(plain)
