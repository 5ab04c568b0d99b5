"""A split of all folds, and reading one from a file."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from kd_monai.data.entries import data_error, read_json
from kd_monai.errors import UserError

logger = logging.getLogger(__name__)


class Split(TypedDict):
    """Subjects of every fold, which are the test set of its run, and validation subjects by fold and for "all"."""

    folds: list[list[str]]
    val: dict[str, list[str]]


def read_split(path: str | Path, patients: Mapping[str, str]) -> Split:
    """Split from a file that a run has written, with or without ``val``, or from nnU-Net's ``splits_final.json``.

    Raises:
        UserError: another kind of file, or a split that does not fit the data set.
    """
    path = Path(path)
    split = _as_split(read_json(path), path)
    problems = fold_problems(split["folds"], patients, str(path)) + _val_problems(split, patients, str(path))
    if problems:
        raise data_error(problems)
    unused = sorted(set(patients) - {name for names in split["folds"] for name in names})
    if unused:
        examples = ", ".join(unused[:10])
        logger.warning("%d subjects stand in no fold of %s and are not used: %s", len(unused), path, examples)
    return Split(
        folds=[sorted(names) for names in split["folds"]], val={k: sorted(names) for k, names in split["val"].items()}
    )


def fold_problems(folds: Sequence[Sequence[str]], patients: Mapping[str, str], source: str) -> list[str]:
    """Complaints on folds: a subject or a patient in two of them, or a subject that the data set does not have.

    ``patients`` is the patient by subject; ``source`` names where the folds come from.
    """
    where: dict[str, list[int]] = {}
    for k, names in enumerate(folds):
        for name in names:
            where.setdefault(name, []).append(k)
    problems = []
    by_patient: dict[str, dict[int, str]] = {}
    for name, ks in sorted(where.items()):
        if name not in patients:
            problems.append(f"subject {name}: {source} names it, but the data set has no such subject. Correct either.")
        elif len(ks) > 1:
            problems.append(
                f"subject {name}: it must stand in one fold, but {source} has it in {ks}. Remove the others."
            )
        else:
            by_patient.setdefault(patients[name], {})[ks[0]] = name
    for patient, in_fold in by_patient.items():
        if len(in_fold) > 1:
            listed = ", ".join(f"{name} in fold {k}" for k, name in sorted(in_fold.items()))
            problems.append(
                f"subject {next(iter(in_fold.values()))}: all time points of patient {patient} must stand in one fold, "
                f"but {source} has {listed}. Move them together."
            )
    return problems


def _val_problems(split: Split, patients: Mapping[str, str], source: str) -> list[str]:
    problems = []
    for fold, names in split["val"].items():
        tested = set(split["folds"][int(fold)]) if fold != "all" else set()
        tested_patients = {patients[name] for name in tested if name in patients}
        repeated = {name for name, count in Counter(names).items() if count > 1}
        for name in sorted(set(names)):
            if name in repeated or patients.get(name) in tested_patients or name not in patients:
                problems.append(
                    f"subject {name}: {source} names it for the validation of fold {fold}, where it (or another time "
                    "point of its patient) is tested, stands twice, or is not in the data set. Correct the file."
                )
    return problems


def _as_split(content: Any, path: Path) -> Split:
    if isinstance(content, list) and all(isinstance(item, dict) and "val" in item for item in content):
        # nnU-Net's splits_final.json: what it calls val is what a fold is scored on
        content = {"folds": [item["val"] for item in content]}
    folds = content.get("folds") if isinstance(content, dict) else None
    if not isinstance(folds, list) or len(folds) < 2 or not all(isinstance(names, list) for names in folds):
        raise UserError(f"{path} must hold {{'folds': [[subject, ...], ...]}}, two folds at least. Correct the file.")
    val = content.get("val", {})
    known = {*map(str, range(len(folds))), "all"}
    if not isinstance(val, dict) or not set(val) <= known:
        raise UserError(f"{path}: 'val' must map fold numbers, or 'all', to lists of subjects. Correct the file.")
    return Split(folds=[list(map(str, names)) for names in folds], val={k: list(map(str, val[k])) for k in val})
