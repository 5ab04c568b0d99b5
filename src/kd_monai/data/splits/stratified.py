"""Seeded random orders, folds and validation parts that hold every stratum in its proportion."""

import hashlib
from collections.abc import Hashable, Mapping

import numpy as np

from kd_monai.errors import UserError

Strata = Mapping[str, Hashable]
"""What to balance, by patient: (grade, has enhancing tumour)."""


def stratified_order(strata: Strata, *seed: object) -> list[str]:
    """Names in a seeded random order whose every beginning holds the strata in nearly their overall proportion.

    Name i of the n names of a stratum, shuffled, stands at (i + u) / n, u in (0, 1) drawn once per stratum; all are
    sorted by that.
    """
    rng = _generator(*seed)
    positions: list[tuple[float, str]] = []
    for names in _by_stratum(strata):
        shift = rng.uniform()
        positions += [((i + shift) / len(names), names[j]) for i, j in enumerate(rng.permutation(len(names)))]
    return [name for _, name in sorted(positions)]


def make_folds(
    strata: Strata, folds: int, seed: Hashable, variable: str = "FOLDS", who: str = "patients"
) -> list[list[str]]:
    """Names dealt to folds, stratum after stratum: sizes, also within a stratum, differ by at most one.

    ``variable`` and ``who`` are for the message.

    Raises:
        UserError: fewer than 2 folds, or fewer names than folds.
    """
    if not isinstance(folds, int) or not 2 <= folds <= len(strata):
        raise UserError(
            f"{variable} must be from 2 to the number of {who}, {len(strata)}: got {folds!r}. "
            f"Correct {variable} or DATA."
        )
    rng = _generator("folds", seed)
    dealt = [names[i] for names in _by_stratum(strata) for i in rng.permutation(len(names))]
    return [sorted(dealt[k::folds]) for k in range(folds)]


def draw_val(strata: Strata, fraction: float, seed: int, fold: int | str) -> list[str]:
    """Validation names of a fold: a stratified ``fraction`` of all names, and at least one.

    Raises:
        UserError: a fraction that is not between 0 and 1.
    """
    if not 0 < fraction < 1:
        raise UserError(f"val_fraction must lie between 0 and 1: got {fraction}. Correct it.")
    return sorted(stratified_order(strata, "val", seed, fold)[: max(1, round(fraction * len(strata)))])


def _generator(*seed: object) -> np.random.Generator:
    """Random generator that depends on the parts of the seed and on nothing else."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(repr(seed).encode()).digest()[:8], "big"))


def _by_stratum(strata: Strata) -> list[list[str]]:
    """Sorted names of each stratum, the strata sorted."""
    kinds = sorted(set(strata.values()), key=str)
    return [sorted(name for name, value in strata.items() if value == kind) for kind in kinds]
