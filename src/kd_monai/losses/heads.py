"""The checks that terms on probabilities share."""

from __future__ import annotations

from kd_monai.outputs import Outputs


def require_same_head(term: str, student: Outputs, teacher: Outputs) -> None:
    """Probabilities of different heads have different channels and cannot be compared.

    Raises:
        ValueError: the heads differ.
    """
    if student.head.name != teacher.head.name:
        raise ValueError(
            f"Term {term!r} compares probabilities channel by channel, so teacher and student need the same head; "
            f"got a {teacher.head.name!r} teacher and a {student.head.name!r} student. "
            "Train one of them with the other's `head`."
        )


def require_head(term: str, name: str, student: Outputs, teacher: Outputs) -> None:
    """A term that reads one kind of head alone.

    Args:
        term: for the message.
        name: of the head it reads.

    Raises:
        ValueError: teacher or student has another one.
    """
    if {student.head.name, teacher.head.name} != {name}:
        raise ValueError(
            f"Term {term!r} reads the {name!r} head alone; got a {teacher.head.name!r} teacher and a "
            f"{student.head.name!r} student. Train both, and the baseline beside them, with SET=head={name}."
        )
