"""The check that terms on features share."""

from __future__ import annotations

from torch import Tensor


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
            f"Name layers that agree, or set {adapter} in the term where the channels alone differ."
        )
