"""What terms on features share: checks of shapes, resampling, a list of voxels, and unit length."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

FLOOR = 1e-3
"""A length below it counts as this one: features that are all zero have no direction, and pull with a finite force."""


def require_same_shape(teacher: tuple[str, Tensor], student: tuple[str, Tensor], adapter: str) -> None:
    """Features of two layers are compared element by element.

    Args:
        teacher, student: name of the layer and its features ``B K h w d``.
        adapter: how the term is told to learn one, for the message.

    Raises:
        ValueError: the shapes differ.
    """
    if teacher[1].shape != student[1].shape:
        raise ValueError(
            "A feature term compares layers of one shape (batch, channels, space); got teacher "
            f"{teacher[0]!r} {tuple(teacher[1].shape)} and student {student[0]!r} {tuple(student[1].shape)}. "
            f"Name layers that agree, or set {adapter} in the term, which learns a map to the teacher's channels and "
            "resamples to its size."
        )


def require_same_channels(teacher: tuple[str, Tensor], student: tuple[str, Tensor], adapter: str) -> None:
    """Features of two layers are compared channel by channel, whatever their size in space.

    Args:
        teacher, student: name of the layer and its features ``B K h w d``.
        adapter: how the term is told to learn one, for the message.

    Raises:
        ValueError: the numbers of channels differ.
    """
    if teacher[1].shape[1] != student[1].shape[1]:
        raise ValueError(
            "This feature term compares layers channel by channel; got teacher "
            f"{teacher[0]!r} {tuple(teacher[1].shape)} and student {student[0]!r} {tuple(student[1].shape)}. "
            f"Name layers that agree, or set {adapter} in the term, which learns a map to the teacher's channels."
        )


def resample(features: Tensor, size: Sequence[int]) -> Tensor:
    """Features ``B K h w d`` at another size, trilinear; themselves where the size is theirs."""
    if features.shape[2:] == torch.Size(size):
        return features
    return F.interpolate(features, size=tuple(size), mode="trilinear", align_corners=False)


def voxels(features: Tensor) -> Tensor:
    """Features ``B K h w d`` as ``B V K``: a view, in contiguous and in channels_last format."""
    return features.movedim(1, -1).flatten(1, 3)


def unit(features: Tensor, dim: int) -> Tensor:
    """``f / max(|f|, FLOOR)`` along a dimension; zero stays zero."""
    return F.normalize(features, dim=dim, eps=FLOOR)
