"""Outputs of a network that something else than torch's own loop has computed, held against torch's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

TOLERANCE = {"fp32": 1e-3, "bf16": 2**-4}
"""Largest ``|a - b| / |b|`` of OpenVINO's numbers a and torch's float32 ones b, over all voxels (Euclidean norms).

In float32 the order of sums differs, nothing else: 3e-7 to 7e-6 of logits and layers (BasicUNet of 8 and 16 channels,
SegResNet and DynUNet of 8, random weights, 32^3, AVX2). The bound of bf16 is theory: rounding to 8 bits of mantissa
errs by at most 2^-8, independent errors add like their root, and those of 256 roundings come to 2^-4. Torch's autocast
was 4e-3 to 1.3e-2 from its own float32 there; OpenVINO's bf16 could not be measured on AVX2.
"""


def hold_against(what: str, outputs: Mapping[str, Tensor], expected: Sequence[Tensor], precision: str) -> None:
    """Refuse outputs that are not torch's.

    Args:
        what: has computed them.
        outputs: by name.
        expected: torch's, in the same order.
        precision: `bf16` or `fp32`, of the outputs.

    Raises:
        RuntimeError: they differ in shape or by more than `TOLERANCE`.
    """
    for (name, a), b in zip(outputs.items(), expected, strict=True):
        if a.shape != b.shape:
            raise RuntimeError(f"{what}'s {name} must have torch's shape, {tuple(b.shape)}; got {tuple(a.shape)}.")
        error, norm, tolerance = float((a.float() - b.float()).norm()), float(b.float().norm()), TOLERANCE[precision]
        if not error <= tolerance * norm:  # which NaN is not either
            raise RuntimeError(
                f"{what}'s {name} must be torch's within {tolerance:g} of their norm in {precision}; got a difference "
                f"of {error:.2g} and a norm of {norm:.2g}."
            )
