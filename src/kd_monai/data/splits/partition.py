"""Folds, validation sets and subsets of a datalist: seeded, stratified, and by patient."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kd_monai.data.entries import Entry, data_error
from kd_monai.data.splits.split_file import Split, fold_problems, read_split
from kd_monai.errors import UserError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cohort:
    """Patients with their subjects (time points) and strata."""

    subjects_of: dict[str, list[str]]
    strata: Strata

    @classmethod
    def of(cls, entries: Iterable[Entry], with_et: set[str]) -> Cohort:
        """Cohort of the entries; ``with_et`` are the subjects whose label has enhancing tumour."""
        subjects_of: dict[str, list[str]] = {}
        grade: dict[str, str | None] = {}
        for entry in sorted(entries, key=lambda entry: entry["subject"]):
            subjects_of.setdefault(entry["patient"], []).append(entry["subject"])
            grade[entry["patient"]] = grade.get(entry["patient"]) or entry["grade"]
        strata = {patient: (grade[patient], bool(set(names) & with_et)) for patient, names in subjects_of.items()}
        return cls(subjects_of, strata)

    @property
    def patient_of(self) -> dict[str, str]:
        """Patient by subject."""
        return {subject: patient for patient, subjects in self.subjects_of.items() for subject in subjects}

    def subjects(self, patients: Iterable[str]) -> list[str]:
        """Subjects of the patients, in the patients' order."""
        return [subject for patient in patients for subject in self.subjects_of[patient]]


def make_split(
    entries: Iterable[Entry],
    cohort: Cohort,
    folds: int,
    seed: int,
    split_file: str | Path | None,
    val_fraction: float,
) -> Split:
    """Split of all folds: from the file if there is one, else the datalist's, else a new one; ``val`` is completed.

    Raises:
        UserError: a split file that does not fit, or a split that cannot be made.
    """
    if split_file is not None:
        split = read_split(split_file, cohort.patient_of)
    else:
        dealt = folds_of_datalist(entries, cohort)
        if dealt is None:
            dealt = [sorted(cohort.subjects(patients)) for patients in make_folds(cohort.strata, folds, seed)]
        split = Split(folds=dealt, val={})
    members = [{cohort.patient_of[name] for name in names} for names in split["folds"]]
    used: set[str] = set().union(*members)
    runs: list[tuple[int | str, set[str]]] = [*enumerate(members), ("all", set())]
    for fold, tested in runs:
        rest = {patient: cohort.strata[patient] for patient in used - tested}
        if str(fold) not in split["val"]:
            split["val"][str(fold)] = sorted(cohort.subjects(draw_val(rest, val_fraction, seed, fold)))
    return split


def choose_subjects(
    split: Split, cohort: Cohort, fold: int | str, seed: int, n_subjects: int | None
) -> tuple[list[str], list[str], list[str]]:
    """Subjects to train, validate and test on.

    With fold "all" everyone is trained on, none tested, and validation is on subjects that were trained on.
    ``n_subjects`` of the training subjects are the beginning of one seeded, stratified order: 4 are among 8.

    Raises:
        UserError: no such fold, ``n_subjects`` out of range, or nobody left to train or validate on.
    """
    choices = [*map(str, range(len(split["folds"]))), "all"]
    if str(fold) not in choices:
        raise UserError(f"FOLD must be one of {', '.join(choices)}: got {fold!r}. Correct FOLD, or FOLDS.")
    val = split["val"][str(fold)]
    train = {name for names in split["folds"] for name in names}
    test: list[str] = []
    if str(fold) != "all":
        test = split["folds"][int(fold)]
        seen = {cohort.patient_of[name] for name in [*test, *val]}
        train = {name for name in train if cohort.patient_of[name] not in seen}
    order = stratified_order(cohort.strata, "train", seed, str(fold))
    chosen = [name for name in cohort.subjects(order) if name in train]
    if not chosen or not val:
        raise UserError(
            f"fold {fold} leaves {len(chosen)} subjects to train on and {len(val)} to validate on; both need at least "
            "one. Add subjects, or correct FOLDS or the split file."
        )
    if n_subjects is not None and not (isinstance(n_subjects, int) and 1 <= n_subjects <= len(chosen)):
        raise UserError(
            f"N_SUBJECTS must be from 1 to {len(chosen)}, the training subjects of fold {fold}: got {n_subjects!r}. "
            "Correct N_SUBJECTS."
        )
    return sorted(chosen[:n_subjects]), sorted(val), sorted(test)


def inner_fold_patients(chosen: Sequence[str], cohort: Cohort, inner_fold: str, seed: int, fold: int | str) -> set[str]:
    """Patients of an inner fold: a cross-fitted teacher leaves them out.

    The inner folds are made as the outer ones are, by patient, stratified and seeded, of the training part alone: no
    test subject is in them.

    Args:
        chosen: the training subjects.
        cohort: patients and strata.
        inner_fold: which one, ``"0/3"``.
        seed: of the split.
        fold: the test fold whose training part it is.

    Raises:
        UserError: no such inner fold, or fewer patients than inner folds.
    """
    number, folds = parse_inner_fold(inner_fold)
    strata = {patient: cohort.strata[patient] for patient in {cohort.patient_of[name] for name in chosen}}
    return set(make_folds(strata, folds, ("inner", seed, str(fold)), "inner_folds", "training patients")[number])


def parse_inner_fold(text: str) -> tuple[int, int]:
    """``"0/3"`` as 0 and 3: the first of three.

    Raises:
        UserError: it is not written so, or there is no such fold.

    >>> parse_inner_fold("2/3")
    (2, 3)
    """
    match = re.fullmatch(r"(\d+)/(\d+)", str(text))
    if not match or not int(match[1]) < int(match[2]):
        raise UserError(
            f"inner_fold must be <fold>/<number of inner folds>, 0/3, 1/3 or 2/3 of three: got {text!r}. Correct it."
        )
    return int(match[1]), int(match[2])


def folds_of_datalist(entries: Iterable[Entry], cohort: Cohort) -> list[list[str]] | None:
    """Folds that a datalist JSON gives with ``fold``, or None if it gives none.

    Raises:
        UserError: a patient in two of them, or one fold only.
    """
    fold_of = {entry["subject"]: entry.get("fold") for entry in entries}
    numbers = sorted({k for k in fold_of.values() if k is not None})
    if not numbers:
        return None
    folds = [sorted(name for name, k in fold_of.items() if k == number) for number in numbers]
    problems = fold_problems(folds, cohort.patient_of, "the datalist JSON")
    if len(folds) < 2:
        problems.append(f"the datalist JSON must give two folds at least: got {numbers}. Correct or remove 'fold'.")
    if problems:
        raise data_error(problems)
    logger.info("The folds are those of the datalist JSON, %d of them", len(folds))
    return folds


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
