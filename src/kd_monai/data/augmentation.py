"""Random transforms of a sample, and their random numbers from (seed, epoch, subject)."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from monai.data import MetaTensor, get_track_meta, set_track_meta
from monai.transforms import Compose, MapTransform, Orientation, Orientationd, Spacing, Spacingd, Transform
from torch import Tensor
from torch.utils.data import Dataset
from torch.utils.data.distributed import DistributedSampler

from kd_monai.errors import UserError
from kd_monai.task import CANONICAL, REGIONS


class LabelError(UserError):
    """A label from which no regions can be made."""


def check_label(label: Tensor, image: Tensor | None = None) -> None:
    """Whether regions can be made of a label.

    Args:
        label: ``1 H W D`` of any numeric type.
        image: ``M H W D`` on the same grid.

    Raises:
        LabelError: another number of channels, another grid, or values between the whole numbers.
    """
    if label.ndim < 2 or label.shape[0] != 1:
        raise LabelError(f"a label has one channel: got the shape {tuple(label.shape)}")
    if image is not None and image.shape[1:] != label.shape[1:]:
        raise LabelError(
            f"label and image have one shape: got {tuple(label.shape[1:])} and {tuple(image.shape[1:])}. "
            "Name both in its `keys`"
        )
    if label.is_floating_point() and not bool(((label - label.round()).abs() <= 1e-3).all()):  # nor NaN
        raise LabelError(
            "labels are whole numbers, and these were mixed or blurred. Leave the label out of its `keys`, or "
            "interpolate it with `mode: [bilinear, nearest]`"
        )


class LabelToRegions(Transform):
    """Replaces ``label`` (1, ...) with values 0, 1, 2, 4 of any numeric type by float32 masks (3, ...) of TC, WT, ET.

    The last of all transforms: cached, masks would take three times the memory; interpolated, they would be none.

    Raises:
        LabelError: see `check_label`.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        label = data["label"]
        voxels = label.as_tensor() if isinstance(label, MetaTensor) else torch.as_tensor(label)
        check_label(voxels, data.get("image"))
        values = voxels[0].round().to(torch.uint8) if voxels.is_floating_point() else voxels[0]
        masks = torch.zeros((len(REGIONS), *values.shape), dtype=torch.float32, device=values.device)
        for value in CANONICAL.tumour:
            of_value = values == value
            for mask, region in zip(masks, REGIONS, strict=True):
                if value in CANONICAL.regions[region]:
                    mask += of_value
        if isinstance(label, MetaTensor):
            masks = MetaTensor(masks, meta=label.meta, applied_operations=list(label.applied_operations))
        return {**data, "label": masks}


class Braind(MapTransform):
    """Adds ``brain``, a float mask ``1 H W D`` of the voxels that are not exactly 0 in any channel of an image."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        for key in self.key_iterator(item):
            item["brain"] = (item[key] != 0).any(0, keepdim=True).float()
        return item


def name_the_culprit(compose: Compose, sample: Mapping[Hashable, Any], error: BaseException) -> None:
    """Apply transforms one by one, and name the one after which no regions can be made of the label.

    Args:
        compose: in the state in which it failed.
        sample: what it failed on.
        error: how it failed; what has another cause is left alone.

    Raises:
        UserError: names the transform.
    """
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, LabelError):
        cause = cause.__cause__
    if cause is None:
        return
    item: Any = dict(sample)
    *transforms, last = compose.flatten().transforms
    if any(isinstance(transform, LabelToRegions) for transform in transforms) and isinstance(last, LabelToRegions):
        raise UserError(
            "LabelToRegions stands in train#random_transforms, and train#dataset adds it. Take it out there."
        )
    for transform in transforms:
        item = transform(item)
        try:
            for one in item if isinstance(item, list) else [item]:
                check_label(torch.as_tensor(one["label"]), one.get("image"))
        except LabelError as problem:
            raise UserError(f"{type(transform).__name__} in train#random_transforms: {problem}.") from error
        item = item[0] if isinstance(item, list) and len(item) == 1 else item
    raise UserError(f"train#random_transforms: {cause}.") from error


class EpochSampler(DistributedSampler[tuple[int, int, int]]):
    """Yields (epoch, repeat, index) from permutations of n subjects, seeded by (seed, epoch) and strung together.

    ``num_samples`` is the length of an epoch over all ranks; ``repeat`` counts how often a subject has come before in
    the epoch. With several ranks each takes every ``world_size``-th sample, the last ones from the next permutation
    where the number does not divide. As a DistributedSampler it gets its epoch from MONAI's engines at EPOCH_STARTED,
    before the iterator of that epoch is made; that holds while the engine's epoch is the loader's length.

    Raises:
        UserError: no subject, or no sample.
    """

    def __init__(
        self, n: int, num_samples: int | None = None, seed: int = 0, rank: int = 0, world_size: int = 1
    ) -> None:
        num_samples = n if num_samples is None else num_samples
        if n < 1 or num_samples < 1:
            raise UserError(f"an epoch needs subjects and samples: got n = {n}, num_samples = {num_samples}. Add data.")
        super().__init__(range(n), num_replicas=world_size, rank=rank, seed=seed)
        self.n = n
        self.num_samples = -(-num_samples // world_size)

    def __len__(self) -> int:
        return self.num_samples

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        # (seed, epoch) mixed so that neighbouring seeds and epochs share no stream
        mixed = (self.seed * 0x9E3779B97F4A7C15 + self.epoch * 0xBF58476D1CE4E5B9 + 1) % (1 << 63)
        generator = torch.Generator().manual_seed(mixed)
        order: list[int] = []
        for position in range(self.rank, self.num_samples * self.num_replicas, self.num_replicas):
            repeat, index = divmod(position, self.n)
            while len(order) < (repeat + 1) * self.n:
                order += torch.randperm(self.n, generator=generator).tolist()
            yield self.epoch, repeat, order[repeat * self.n + index]


def item_seed(seed: int, epoch: int, repeat: int, subject: str) -> int:
    """32 bits of sha256 of the four."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{epoch}/{repeat}/{subject}".encode()).digest()[:4], "big")


class SeededDataset(Dataset):
    """Applies a random transform to a cached sample, its state set from (seed, epoch, repeat, subject) each time.

    An index is what ``EpochSampler`` yields, or a plain number for epoch 0: neither the worker count, the order of
    visits nor a resume changes what a subject looks like in an epoch. The transforms see tensors without metadata.

    Args:
        dataset: samples with ``subject``.
        random_transform: a Compose, or what it is made of.
        seed: of the run.

    Raises:
        UserError: a transform needs metadata: lazy ones, ``Spacing`` and ``Orientation``.
    """

    def __init__(self, dataset: Dataset, random_transform: Callable | Sequence[Callable], seed: int = 0) -> None:
        compose = random_transform if isinstance(random_transform, Compose) else Compose(random_transform)
        for part in [compose, *compose.flatten().transforms]:
            if getattr(part, "lazy", False) or isinstance(part, Orientation | Orientationd | Spacing | Spacingd):
                raise UserError(
                    f"Random transforms see patches without metadata; got {type(part).__name__}, lazy or reading "
                    "the affine. Take it out of train#random_transforms, or set its `lazy: false`."
                )
        self.dataset, self.random_transform, self.seed = dataset, compose, seed

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int | tuple[int, int, int]) -> Any:
        epoch, repeat, number = index if isinstance(index, tuple) else (0, 0, index)
        sample = self.dataset[number]
        seed = item_seed(self.seed, epoch, repeat, sample["subject"])
        # copies: some of MONAI's transforms write into what they get, which is the cache
        plain = {
            key: value.as_subclass(Tensor).clone() if isinstance(value, Tensor) else value
            for key, value in sample.items()
        }
        self.random_transform.set_random_state(seed=seed)
        with _untracked():
            try:
                return self.random_transform(plain)
            except Exception as error:
                self.random_transform.set_random_state(seed=seed)
                name_the_culprit(self.random_transform, plain, error)
                raise


@contextmanager
def _untracked() -> Iterator[None]:
    """MONAI's transforms neither take nor give MetaTensors meanwhile: a third of an item's time.

    Its switch is one for all threads, so that the main one alone touches it.
    """
    before = get_track_meta()
    if threading.current_thread() is threading.main_thread():
        set_track_meta(False)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            set_track_meta(before)
