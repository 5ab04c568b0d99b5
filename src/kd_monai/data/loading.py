"""From entries to cached samples: MONAI's transforms, and its caches in memory or on disk."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
import zipfile
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import MethodType
from typing import Any

import ignite.distributed as idist
import monai
import numpy as np
import torch
from filelock import FileLock
from monai.data import CacheDataset, MetaTensor, PersistentDataset
from monai.data import Dataset as MonaiDataset
from monai.transforms import Compose, Transform
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from kd_monai.data.entries import Entry, file_signature
from kd_monai.errors import UserError
from kd_monai.phases import phase

logger = logging.getLogger(__name__)

FORM = 1
"""Raise it when what a cached sample holds changes in a way that its transforms do not show."""
MIB = 2**20


def items(entries: Sequence[Entry], sequences: Sequence[str], with_label: bool = True) -> list[dict[str, Any]]:
    """What ``LoadImaged`` takes: ``image`` lists a file per sequence, in this order; ``label`` and ``subject``.

    A volume of a 4-D file is ``name[channel]``, which `VolumeReader` understands.

    Raises:
        UserError: an entry lacks a sequence.
    """
    listed = []
    for entry in entries:
        missing = [name for name in sequences if name not in entry["image"]]
        if missing:
            raise UserError(
                f"subject {entry['subject']}: {', '.join(sequences)} are read, but the entry has no "
                f"{', '.join(missing)}. Load the datalist with these modalities."
            )
        channels = entry.get("channels", {})
        names = [(str(entry["image"][name]), channels.get(name)) for name in sequences]
        item: dict[str, Any] = {
            "image": [path if channel is None else f"{path}[{channel}]" for path, channel in names],
            "subject": entry["subject"],
        }
        if with_label and "label" in entry:
            item["label"] = str(entry["label"])
        listed.append(item)
    return listed


class PlainTensors(Transform):
    """Tensors without metadata, as they are cached: nothing behind a cache goes back to the grid of a file."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        return {key: value.as_tensor() if isinstance(value, MetaTensor) else value for key, value in data.items()}


def described(part: Any) -> Any:
    """A transform as plain values that are the same in every process: classes, arguments, and parts of parts.

    Raises:
        UserError: a part has no such description: a lambda, or an object that does not show what it holds.
    """
    if part is None or isinstance(part, bool | int | float | str):
        return part
    if isinstance(part, Tensor | np.ndarray):
        return [str(part.dtype), str(part.tolist())]
    if isinstance(part, partial):
        return described([part.func, part.args, part.keywords])
    if isinstance(part, Mapping):
        return {str(key): described(value) for key, value in part.items()}
    if isinstance(part, list | tuple):
        return [described(value) for value in part]
    if isinstance(part, set | frozenset):
        return sorted(str(described(value)) for value in part)
    if isinstance(part, MethodType):
        return described([part.__self__, part.__name__])
    name = getattr(part, "__qualname__", "") or ("" if hasattr(part, "__dict__") else str(part))
    if "<" in name and not isinstance(part, type):  # <lambda>, <locals>, <object at ...>
        raise UserError(
            f"CACHE=disk must tell transforms from others, and {name} of cached_transforms can be any. "
            "Name a function of a module, or use CACHE=memory."
        )
    if name:
        return f"{getattr(part, '__module__', '')}.{name}"
    # MONAI sets `_tracing` at a transform's first use; it does not change what the transform computes
    values = {key: value for key, value in vars(part).items() if key != "_tracing"}
    return [f"{type(part).__module__}.{type(part).__qualname__}", described(values)]


def _hash(value: Any) -> bytes:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32].encode()


def _hash_item(item: Mapping[str, Any]) -> bytes:
    """From its subject, and where its files lie, how large they are and when they changed."""
    files = [*item["image"], *([item["label"]] if "label" in item else [])]
    paths = [file.rpartition("[")[0] if file.endswith("]") else file for file in files]
    signatures = [[os.path.realpath(file), *file_signature(path)] for file, path in zip(files, paths, strict=True)]
    return _hash([item["subject"], *signatures])


def _hash_transforms(transforms: Sequence[Any]) -> bytes:
    return _hash([FORM, monai.__version__, described(list(transforms))])


def _fill(dataset: PersistentDataset, workers: int, silent: bool) -> None:
    """Write the samples that are not there yet; a file that a killed process left half written is made again."""
    hashes = [dataset.hash_func(item).decode() + dataset.transform_hash for item in dataset.data]
    paths = [Path(dataset.cache_dir, f"{name}.pt") for name in hashes]
    for path in paths:
        if path.is_file() and not zipfile.is_zipfile(path):
            logger.warning("%s is damaged; it is made again", path)
            path.unlink()
    missing = [number for number, path in enumerate(paths) if not path.is_file()]
    with ThreadPoolExecutor(workers, "cache") as pool:
        for _ in tqdm(pool.map(dataset.__getitem__, missing), "Caching", len(missing), disable=silent or not missing):
            pass


@phase("caching")
def cache_dataset(
    entries: Sequence[Entry],
    sequences: Sequence[str],
    transform: Compose,
    cache: str = "memory",
    cache_dir: str | Path | None = None,
    workers: int | None = None,
) -> MonaiDataset:
    """Samples of the entries, made once and kept in memory, or in files under ``cache_dir`` that runs share.

    A sample handed out is the cached one. What writes into it must copy it first, as `SeededDataset` does.

    Args:
        entries: subjects; those without ``label`` give samples without one.
        sequences: channels of ``image``: the same for all runs on a data set, so that they share a cache.
        transform: deterministic, from an item (`items`) to a sample.
        cache: memory or disk.
        cache_dir: of a disk cache.
        workers: threads that build; by default as many as there are processors.

    Raises:
        UserError: another kind of cache, or a disk cache without a folder.
    """
    if cache not in ("memory", "disk"):
        raise UserError(f"CACHE must be memory or disk: got {cache!r}. Correct CACHE.")
    if cache == "disk" and cache_dir is None:
        raise UserError("a disk cache needs a folder: cache_dir is None. Name one.")
    data = items(entries, sequences)
    steps = Compose([transform, PlainTensors()]).flatten()
    workers = workers or os.cpu_count() or 1
    silent = idist.get_rank() > 0 or not sys.stderr.isatty()
    if cache == "memory":
        memory = CacheDataset(data, steps, copy_cache=False, num_workers=workers, progress=not silent)
        held = sum(sample_bytes(memory[number]) for number in range(len(memory))) / MIB
        logger.info("Cached %d subjects: %.0f MiB, %.1f MiB each", len(data), held, held / max(1, len(data)))
        return memory
    folder = Path(cache_dir)  # type: ignore[arg-type]
    disk = PersistentDataset(data, steps, folder, hash_func=_hash_item, hash_transform=_hash_transforms)
    with FileLock(f"{folder}.lock"):  # of several runs that start at once, the first builds for all
        _fill(disk, workers, silent)
    logger.info("Cached %d subjects in %s", len(data), folder)
    return disk


def sample_bytes(sample: Mapping[str, Any]) -> int:
    """Bytes of a sample's tensors."""
    return sum(value.nbytes for value in sample.values() if isinstance(value, Tensor))


LABELLED = "labelled"
"""Key of a sample: 1 where its label is a reference, 0 where it is somebody's guess."""


class WithUnlabelled(Dataset):
    """The labelled samples, then the unlabelled ones with labels that somebody gave them; `LABELLED` tells them apart.

    Args:
        labelled: samples with ``image`` and ``label``.
        unlabelled: samples with ``image``.
        labels: of the unlabelled ones, uint8 ``1 H W D`` with values 0, 1, 2, 4 on the image's grid.

    Raises:
        ValueError: not every unlabelled sample has a label.
    """

    def __init__(self, labelled: Dataset, unlabelled: Dataset, labels: Sequence[Tensor]) -> None:
        if len(unlabelled) != len(labels):
            raise ValueError(f"Every unlabelled sample needs a label: got {len(labels)} for {len(unlabelled)}.")
        self.labelled, self.unlabelled, self.labels = labelled, unlabelled, list(labels)

    def __len__(self) -> int:
        return len(self.labelled) + len(self.unlabelled)

    def __getitem__(self, number: int) -> dict[str, Any]:
        if number < len(self.labelled):
            return {**self.labelled[number], LABELLED: torch.tensor(True)}
        index = number - len(self.labelled)
        return {**self.unlabelled[index], "label": self.labels[index], LABELLED: torch.tensor(False)}
