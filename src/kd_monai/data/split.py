"""Folds and validation subjects: by patient, stratified, seeded, and written to a file that can be given back."""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kd_monai.data.dataset_json import read_json
from kd_monai.data.errors import DataError

logger = logging.getLogger(__name__)

Split = dict[str, Any]
"""``{"folds": [[subject, ...], ...], "val": {"0": [...], ..., "all": [...]}}``: fold k is the test set of run k."""


def _generator(*parts: object) -> np.random.Generator:
    """Random generator that depends on the parts and on nothing else."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big"))


def stratified_order(strata: Mapping[str, Hashable], *seed: object) -> list[str]:
    """Names in a seeded random order whose every beginning holds the strata in nearly their overall proportion.

    Name i of the n names of a stratum, shuffled, is placed at (i + u) / n with one u in (0, 1) per stratum, and all are
    sorted by place.
    """
    rng = _generator(*seed)
    places = []
    for stratum in sorted(set(strata.values()), key=str):
        names = sorted(name for name, value in strata.items() if value == stratum)
        shift = rng.uniform()
        places += [((i + shift) / len(names), names[j]) for i, j in enumerate(rng.permutation(len(names)))]
    return [name for _, name in sorted(places)]


def make_folds(strata: Mapping[str, Hashable], folds: int, seed: int) -> list[list[str]]:
    """Names dealt to folds, stratum after stratum: sizes, also within a stratum, differ by at most one.

    Raises:
        DataError: fewer than 2 folds, or fewer names than folds.
    """
    if folds < 2 or len(strata) < folds:
        raise DataError(
            f"FOLDS must be at least 2 and at most the number of patients, {len(strata)}: got {folds}. Correct FOLDS or DATA."
        )
    rng = _generator("folds", seed)
    dealt = []
    for stratum in sorted(set(strata.values()), key=str):
        names = sorted(name for name, value in strata.items() if value == stratum)
        dealt += [names[j] for j in rng.permutation(len(names))]
    return [sorted(dealt[k::folds]) for k in range(folds)]


def draw_val(strata: Mapping[str, Hashable], fraction: float, seed: int, fold: int | str) -> list[str]:
    """Validation names of a fold: a stratified ``fraction`` of those given, at least one if the fraction is above 0."""
    count = max(1, round(fraction * len(strata))) if fraction > 0 else 0
    return sorted(stratified_order(strata, "val", seed, fold)[:count])


def check_folds(folds: Sequence[Sequence[str]], patients: Mapping[str, str], source: str) -> list[str]:
    """Complaints on folds: a subject or patient in two of them, or a subject that the data set does not have."""
    problems = []
    where: dict[str, list[int]] = {}
    for k, names in enumerate(folds):
        for name in names:
            where.setdefault(name, []).append(k)
    for name, ks in sorted(where.items()):
        if len(ks) > 1:
            problems.append(f"subject {name}: it may stand in one fold, but {source} has it in folds {ks}. Remove one.")
        elif name not in patients:
            problems.append(f"subject {name}: {source} names it, but the data set has no such subject. Correct either.")
    by_patient: dict[str, dict[int, str]] = {}
    for name, ks in sorted(where.items()):
        if name in patients and len(ks) == 1:
            by_patient.setdefault(patients[name], {})[ks[0]] = name
    for patient, names in by_patient.items():
        if len(names) > 1:
            listed = ", ".join(f"{name} in fold {k}" for k, name in sorted(names.items()))
            problems.append(
                f"subject {next(iter(names.values()))}: all time points of patient {patient} must stand in one fold, but "
                f"{source} has {listed}. Move them together."
            )
    return problems


def read_split(path: str | Path, patients: Mapping[str, str]) -> Split:
    """Split from a file that a run has written, with or without ``val``, or from nnU-Net's ``splits_final.json``.

    Raises:
        DataError: another kind of file, or folds that do not fit the data set.
    """
    content = read_json(Path(path))
    if isinstance(content, list) and all(isinstance(item, dict) and "val" in item for item in content):
        content = {"folds": [item["val"] for item in content]}
    if not isinstance(content, dict) or not isinstance(content.get("folds"), list) or len(content["folds"]) < 2:
        raise DataError(
            f"{path} must hold {{'folds': [[subject, ...], ...]}} with two folds or more. Correct the split file."
        )
    folds, val = content["folds"], content.get("val", {})
    problems = check_folds(folds, patients, str(path))
    for k, names in val.items():
        repeated = sorted(name for name, count in Counter(names).items() if count > 1)
        tested = sorted(set(names) & set(folds[int(k)])) if k.isdigit() and int(k) < len(folds) else []
        for name in sorted({*repeated, *tested, *(set(names) - set(patients))}):
            problems.append(
                f"subject {name}: {path} has it for validation of fold {k}, where it is repeated, tested, or not in the data. "
                "Correct the split file."
            )
    if problems:
        raise DataError(problems)
    unused = sorted(set(patients) - {name for names in folds for name in names})
    if unused:
        logger.warning(
            "%d subjects stand in no fold of %s and are not used: %s", len(unused), path, ", ".join(unused[:10])
        )
    return {"folds": [sorted(names) for names in folds], "val": {k: sorted(names) for k, names in val.items()}}


def digest(content: object) -> str:
    """sha256 of the JSON form, in hex."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
