"""A data set, found, checked and split: what a run trains, validates and tests on."""

import hashlib
import logging
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from kd_monai.brats import MODALITIES, LabelConvention, parse_modalities
from kd_monai.data.atomic import write_json
from kd_monai.data.check import grid_problems, image_jobs, inspect_files, label_job
from kd_monai.data.convention import choose_convention, convention_problem
from kd_monai.data.errors import DataError
from kd_monai.data.find import find_entries
from kd_monai.data.found import Entry, file_signature
from kd_monai.data.inspect_file import FileFacts
from kd_monai.data.split import Split, check_folds, digest, draw_val, make_folds, read_split, stratified_order

logger = logging.getLogger(__name__)


def _data_digest(entries: Iterable[Entry]) -> str:
    """sha256 over subjects and the sizes of all their files, whichever of them this run reads."""
    lines = []
    for entry in entries:
        files = {**entry["image"], "label": entry["label"]}
        sizes = [f"{kind}:{file_signature(path)[0]}" for kind, path in sorted(files.items()) if Path(path).exists()]
        lines.append("\t".join([entry["subject"], *sizes]))
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def _check(
    entries: list[Entry], modalities: tuple[str, ...], images: bool, remember: Path | None
) -> tuple[dict[str, tuple[int, ...]], list[str]]:
    """Label values by subject, and all complaints on files that can be read without knowing the label convention."""
    wanted: dict[str, dict[str, tuple[str, tuple[int, ...] | None]]] = {}
    for entry in entries:
        jobs = wanted.setdefault(entry["subject"], {})
        if images:
            read = {modality: path for modality, path in entry["image"].items() if modality in modalities}
            jobs.update(image_jobs({**entry, "image": read}))
        if "label" in entry:
            jobs["label"] = label_job(entry)
    facts = inspect_files([job for jobs in wanted.values() for job in jobs.values()], remember)

    values, problems = {}, []
    for subject, jobs in wanted.items():
        sound: dict[str, tuple[str, FileFacts]] = {}
        for kind, job in jobs.items():
            fact = facts.get(job)
            if isinstance(fact, str):
                problems.append(f"subject {subject}: {kind} file {job[0]} {fact}.")
            elif fact is not None:
                sound[kind] = (job[0], fact)
        if len(sound) > 1:
            problems += grid_problems(subject, sound)
        if "label" in sound:
            values[subject] = sound["label"][1].values
    return values, list(dict.fromkeys(problems))


@dataclass(frozen=True)
class Datalist:
    """Entries to train on, to choose the checkpoint with (``val``), and to report on (``test``)."""

    train: list[Entry]
    val: list[Entry]
    test: list[Entry]
    modalities: tuple[str, ...]
    convention: LabelConvention
    layout: str
    digest: str
    """sha256 of subject names and file sizes; the folder's place and this run's modalities do not matter."""
    split: Split
    """Folds and validation subjects of every fold, as written by ``write_split``."""

    @property
    def split_digest(self) -> str:
        """sha256 of the split of all folds: one for all runs of a study."""
        return digest(self.split)

    def write_split(self, path: str | Path) -> None:
        """Write the split, atomically, as a file that ``load`` takes as ``split_file``."""
        write_json(path, self.split)

    @classmethod
    def load(
        cls,
        dataset_dir: str | Path,
        *,
        labels: str = "auto",
        modalities: str | Iterable[str] = MODALITIES,
        folds: int = 3,
        fold: int | str = 0,
        seed: int = 0,
        n_subjects: int | None = None,
        split_file: str | Path | None = None,
        val_fraction: float = 0.2,
        check: bool = True,
        remember: str | Path | None = None,
    ) -> Self:
        """Find the subjects of a folder or datalist JSON, check them and split them.

        Args:
            dataset_dir: folder (BraTS, MSD, nnU-Net raw) or datalist JSON.
            labels: name of the label convention, or ``"auto"``: it follows from the layout.
            modalities: those that this run's networks read; only their files must exist and are checked.
            folds: number of folds; those of ``split_file``, or ``fold`` in a datalist JSON, win over it.
            fold: the fold to test on, or ``"all"``: train on every subject, test on none.
            seed: of the split.
            n_subjects: number of training subjects; smaller sets are contained in larger ones.
            split_file: a split to use in place of a new one.
            val_fraction: share of the subjects outside the test fold.
            check: read every voxel of the images; labels are read in any case, for the stratification.
            remember: JSON file in which files that passed are noted, not to be read again until they change.

        Raises:
            DataError: anything wrong with the data, all of it in one message.
            ValueError: an unknown modality.
        """
        modalities = parse_modalities(modalities)
        found = find_entries(dataset_dir, modalities)
        remember = Path(remember) if remember is not None else None
        values, problems = _check(found.entries, modalities, check, remember)
        problems = found.problems + problems
        if values:
            try:
                convention = choose_convention(labels, found, frozenset().union(*values.values()))
                paths = {entry["subject"]: entry.get("label", "") for entry in found.entries}
                wrong = [convention_problem(subject, paths[subject], values[subject], convention) for subject in values]
                problems += [problem for problem in wrong if problem]
            except DataError as error:
                problems += error.problems
        if problems:
            raise DataError(problems)

        without = [subject for subject, present in values.items() if not set(present) & set(convention.tumour)]
        if without:
            logger.warning("%d subjects have no tumour in their label: %s", len(without), ", ".join(without[:10]))
        # grade and enhancing tumour of a patient: of any of the time points
        strata: dict[str, Hashable] = {}
        by_patient: dict[str, list[str]] = {}
        has_et = {entry["patient"] for entry in found.entries if convention.enhancing in values[entry["subject"]]}
        for entry in sorted(found.entries, key=lambda entry: entry["subject"]):
            strata[entry["patient"]] = (entry["grade"], entry["patient"] in has_et)
            by_patient.setdefault(entry["patient"], []).append(entry["subject"])

        split = _split(found.entries, strata, by_patient, folds, seed, split_file, val_fraction)
        names = _names(split, fold, strata, by_patient, seed, n_subjects)
        fold_of = {name: k for k, members in enumerate(split["folds"]) for name in members}
        entries = {
            entry["subject"]: Entry(
                **{
                    **entry,
                    "fold": fold_of.get(entry["subject"]),
                    "image": {modality: entry["image"][modality] for modality in modalities},
                }
            )
            for entry in found.entries
        }
        train, val, test = ([entries[name] for name in part] for part in names)
        return cls(train, val, test, modalities, convention, found.layout, _data_digest(found.entries), split)


def _expand(patients: Iterable[str], by_patient: dict[str, list[str]]) -> list[str]:
    return [subject for patient in patients for subject in by_patient[patient]]


def _split(
    entries: list[Entry],
    strata: dict[str, Hashable],
    by_patient: dict[str, list[str]],
    folds: int,
    seed: int,
    split_file: str | Path | None,
    val_fraction: float,
) -> Split:
    patient_of = {entry["subject"]: entry["patient"] for entry in entries}
    given = {entry["subject"]: entry.get("fold") for entry in entries}
    if split_file is not None:
        split = read_split(split_file, patient_of)
    elif all(isinstance(k, int) for k in given.values()):
        numbers = sorted({k for k in given.values() if k is not None})
        split = {"folds": [sorted(name for name, k in given.items() if k == number) for number in numbers], "val": {}}
        problems = check_folds(split["folds"], patient_of, "the datalist JSON")
        if problems:
            raise DataError(problems)
        logger.info("the datalist JSON gives %d folds; they are used", len(numbers))
    else:
        dealt = make_folds(strata, folds, seed)
        split = {"folds": [sorted(_expand(patients, by_patient)) for patients in dealt], "val": {}}
    used = {patient_of[name] for members in split["folds"] for name in members}
    for fold in [*range(len(split["folds"])), "all"]:
        tested = {patient_of[name] for name in split["folds"][fold]} if isinstance(fold, int) else set()
        rest = {patient: strata[patient] for patient in used - tested}
        drawn = draw_val(rest, val_fraction, seed, fold)
        split["val"].setdefault(str(fold), sorted(_expand(drawn, by_patient)))
    return split


def _names(
    split: Split,
    fold: int | str,
    strata: dict[str, Hashable],
    by_patient: dict[str, list[str]],
    seed: int,
    n_subjects: int | None,
) -> tuple[list[str], list[str], list[str]]:
    """Subjects to train, validate and test on."""
    choices = [*map(str, range(len(split["folds"]))), "all"]
    if str(fold) not in choices:
        raise DataError(f"FOLD must be one of {', '.join(choices)}: got {fold!r}. Correct FOLD, or FOLDS.")
    everyone = {name for members in split["folds"] for name in members}
    val = split["val"][str(fold)]
    if str(fold) == "all":
        test, train = [], everyone
    else:
        test = split["folds"][int(fold)]
        train = everyone - set(test) - set(val)
    order = stratified_order(strata, "train", seed, fold)
    ordered = [name for name in _expand(order, by_patient) if name in train]
    if n_subjects is not None:
        if not 1 <= n_subjects <= len(ordered):
            raise DataError(
                f"N_SUBJECTS must be from 1 to {len(ordered)}, the training subjects of fold {fold}: got {n_subjects}. "
                "Correct N_SUBJECTS."
            )
        ordered = ordered[:n_subjects]
    if not ordered or not val:
        raise DataError(
            f"fold {fold} leaves {len(ordered)} subjects to train on and {len(val)} to validate on; both need one at least. "
            "Add subjects, or correct FOLDS or the split file."
        )
    return sorted(ordered), sorted(val), sorted(test)
