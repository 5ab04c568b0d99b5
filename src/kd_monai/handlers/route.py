"""Each sample of a batch through the teacher of its subject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from kd_monai.networks.inferers import Forward


def numbers_of(subjects: Sequence[str], route: Mapping[str, int]) -> list[int]:
    """Number of the teacher of each subject.

    Raises:
        ValueError: a subject has none.
    """
    strangers = sorted({name for name in subjects if name not in route})
    if strangers:
        raise ValueError(
            f"Every subject of a batch has a teacher that has not seen it; got {strangers}, who are in no route. "
            "Make the route from the datalist that the batches come from."
        )
    return [route[name] for name in subjects]


def by_teacher(
    forwards: Sequence[Forward], numbers: Sequence[int], image: Tensor, one_by_one: bool = False
) -> tuple[Tensor, dict[str, Tensor]]:
    """What the teachers give for a batch, in the batch's order: every sample passes through one of them, once.

    Args:
        forwards: of the teachers, which tap the same layers.
        numbers: which teacher a sample goes to, B of them.
        image: ``B M H W D``.
        one_by_one: a pass for each sample, for a forward pass that is compiled for one batch size.
    """
    if len(set(numbers)) == 1 and not (one_by_one and len(numbers) > 1):
        return forwards[numbers[0]](image)
    samples = range(len(numbers))
    passes = [[i] for i in samples]
    if not one_by_one:
        passes = [[i for i in samples if numbers[i] == number] for number in sorted(set(numbers))]
    parts = [forwards[numbers[indices[0]]](image[indices]) for indices in passes]
    back = torch.tensor([i for indices in passes for i in indices], device=image.device).argsort()
    features = {name: torch.cat([part[name] for _, part in parts])[back] for name in parts[0][1]}
    return torch.cat([logits for logits, _ in parts])[back], features
