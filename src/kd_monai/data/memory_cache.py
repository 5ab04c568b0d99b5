"""Cached samples in memory."""

from collections.abc import Sequence
from typing import Any

import torch
from monai.data import CacheDataset, MetaTensor

from kd_monai.data.build import build
from kd_monai.data.cached import CachedTransforms
from kd_monai.data.cropped_volume import CroppedVolume
from kd_monai.data.entries import Entry

Kept = tuple[dict[str, Any], CroppedVolume | None]


def _keep(transform: CachedTransforms, entry: Entry) -> Kept:
    """The sample; its label, where there is one, as the tumour's box and nothing around it: a tenth less."""
    sample = transform(entry)
    if "label" not in sample:
        return sample, None
    label = sample.pop("label")
    hits = label.as_tensor()[0].nonzero()
    start = tuple(hits.amin(0).tolist()) if len(hits) else (0, 0, 0)
    end = tuple((hits.amax(0) + 1).tolist()) if len(hits) else (0, 0, 0)
    voxels = label.as_tensor()[0][tuple(slice(a, b) for a, b in zip(start, end, strict=True))].clone()
    shape = tuple(label.shape[1:])
    return sample, CroppedVolume(voxels, (start, end), (start, end), shape, label.meta, label.applied_operations)


class MemoryCache(CacheDataset):
    """MONAI's CacheDataset, filled by threads that share no transform, its labels kept without their zeros.

    Args:
        data: entries.
        transform: makes a sample of an entry, once.
        workers: threads; by default as many as processors.
    """

    def __init__(self, data: Sequence[Entry], transform: CachedTransforms, workers: int | None = None) -> None:
        self._workers = workers
        super().__init__(data, transform, copy_cache=False, progress=False)

    def _fill_cache(self, indices: Sequence[int] | None = None) -> list[Kept]:
        entries = self.data if indices is None else [self.data[index] for index in indices]
        return list(build(self.transform, entries, _keep, self._workers))

    @property
    def nbytes(self) -> int:
        """Bytes of all voxels."""
        return sum(sample["image"].nbytes + (label.voxels.nbytes if label else 0) for sample, label in self._cache)

    def _transform(self, index: int) -> dict[str, Any]:
        sample, label = self._cache[index]
        sample = dict(sample)
        if label is not None:
            voxels = torch.zeros((1, *label.shape), dtype=label.voxels.dtype)
            label.paste(voxels[0], ((0, 0, 0), label.shape))
            sample["label"] = MetaTensor(voxels, meta=label.meta, applied_operations=list(label.operations))
        return sample
