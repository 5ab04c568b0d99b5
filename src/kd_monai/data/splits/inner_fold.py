"""Inner folds of a training part: a cross-fitted teacher leaves one of them out."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kd_monai.data.errors import DataError
from kd_monai.data.splits.partition import Cohort
from kd_monai.data.splits.split import make_folds


def parse_inner_fold(text: str) -> tuple[int, int]:
    """``"0/3"`` as 0 and 3: the first of three.

    Raises:
        DataError: it is not written so, or there is no such fold.

    >>> parse_inner_fold("2/3")
    (2, 3)
    """
    match = re.fullmatch(r"(\d+)/(\d+)", str(text))
    if not match or not int(match[1]) < int(match[2]):
        raise DataError(
            f"inner_fold must be <fold>/<number of inner folds>, 0/3, 1/3 or 2/3 of three: got {text!r}. Correct it."
        )
    return int(match[1]), int(match[2])


def inner_fold_patients(chosen: Sequence[str], cohort: Cohort, inner_fold: str, seed: int, fold: int | str) -> set[str]:
    """Patients of an inner fold.

    The inner folds are made as the outer ones are, by patient, stratified and seeded, of the training part alone: no
    test subject has a place in them.

    Args:
        chosen: the training subjects.
        cohort: patients and strata.
        inner_fold: which one, ``"0/3"``.
        seed: of the split.
        fold: the test fold whose training part it is.

    Raises:
        DataError: no such inner fold, or fewer patients than inner folds.
    """
    number, folds = parse_inner_fold(inner_fold)
    strata = {patient: cohort.strata[patient] for patient in {cohort.patient_of[name] for name in chosen}}
    return set(make_folds(strata, folds, ("inner", seed, str(fold)), "inner_folds", "training patients")[number])
