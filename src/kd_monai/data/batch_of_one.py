"""A batch of one without a copy."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from monai.data import MetaTensor, list_data_collate
from torch.utils.data import get_worker_info


def _is_whole(value: Any) -> bool:
    """A plain tensor that is all of its memory: neither a part of a volume nor turned about."""
    return (
        isinstance(value, torch.Tensor)
        and not isinstance(value, MetaTensor)
        and value.is_contiguous()
        and value.untyped_storage().nbytes() == value.nbytes
    )


def collate(samples: Sequence[Any]) -> Any:
    """MONAI's ``list_data_collate``, but whole plain tensors of a batch of one become views with a batch dimension.

    Stacking one patch of 128 x 128 x 128 with its regions copies 56 MiB. A step that writes into the batch writes into
    the sample: its transforms must have copied what a cache keeps. The shipped ones do where the cache holds float16,
    as it does in trainings (``EnsureTyped``), and make the label's regions anew (``LabelToRegions``). In a worker
    process stacking writes into the shared memory that a batch has to be in, so there it is MONAI's.

    Args:
        samples: mappings, or lists of them as ``RandCropByPosNegLabeld`` gives.
    """
    flat = [item for sample in samples for item in (sample if isinstance(sample, list) else [sample])]
    if len(flat) != 1 or not isinstance(flat[0], Mapping) or get_worker_info() is not None:
        return list_data_collate(samples)
    (only,) = flat
    views = {key: value[None] for key, value in only.items() if _is_whole(value)}
    rest = list_data_collate([{key: value for key, value in only.items() if key not in views}])
    return {key: views[key] if key in views else rest[key] for key in only}
