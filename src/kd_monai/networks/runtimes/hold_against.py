"""Outputs of a network that something else than torch's own loop has computed, held against torch's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor


def hold_against(what: str, outputs: Mapping[str, Tensor], expected: Sequence[Tensor], tolerance: float) -> None:
    """Refuse outputs that are not torch's.

    Args:
        what: has computed them.
        outputs: by name, of any shape.
        expected: torch's, in the same order.
        tolerance: largest ``|a - b| / |b|`` of an output a and torch's b, over all values (Euclidean norms).

    Raises:
        RuntimeError: they differ in shape or by more than that.
    """
    for (name, a), b in zip(outputs.items(), expected, strict=True):
        if a.shape != b.shape:
            raise RuntimeError(f"{what}'s {name} must have torch's shape, {tuple(b.shape)}; got {tuple(a.shape)}.")
        error, norm = float((a.float() - b.float()).norm()), float(b.float().norm())
        if not error <= tolerance * norm:  # which NaN is not either
            raise RuntimeError(
                f"{what}'s {name} must be torch's within {tolerance:g} of their norm; got a difference of {error:.2g} "
                f"and a norm of {norm:.2g}."
            )
