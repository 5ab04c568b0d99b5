"""A data set, checked and split: what a run trains, validates and tests on."""

import hashlib
import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from kd_monai.atomic import write_json
from kd_monai.data.checks.files import check_files, choose_convention, convention_problems, with_sound_images
from kd_monai.data.entries import Entry, data_digest, data_error
from kd_monai.data.layouts.any_layout import read_source
from kd_monai.data.splits.partition import Cohort, choose_subjects, inner_fold_patients, make_split
from kd_monai.data.splits.split_file import Split
from kd_monai.data.unlabelled import REST, Unlabelled, read_unlabelled, rest_of
from kd_monai.errors import UserError
from kd_monai.phases import phase
from kd_monai.task import MODALITIES, LabelConvention, parse_modalities

logger = logging.getLogger(__name__)


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
    """sha256 of subject names and file contents; where the folder lies and what this run reads do not matter."""
    split: Split
    """Folds and validation subjects of every fold, as written by ``write_split``."""
    unlabelled: Unlabelled = field(default_factory=Unlabelled)
    """Subjects to train on without their references."""

    @property
    def split_digest(self) -> str:
        """sha256 of the split of all folds: one for all runs of a study."""
        return hashlib.sha256(json.dumps(self.split, sort_keys=True).encode()).hexdigest()

    @property
    def sequences(self) -> tuple[str, ...]:
        """What every subject of this run has, whoever reads it: channels of a cached sample.

        Runs on the same subjects share a cache, teacher and students alike. A subject without a sequence, of another
        N_SUBJECTS or of UNLABELLED, gives its run a cache of its own.
        """
        everyone = [*self.train, *self.val, *self.test, *self.unlabelled.entries]
        return tuple(name for name in MODALITIES if all(name in entry["image"] for entry in everyone))

    def write_split(self, path: str | Path) -> None:
        """Write the split, atomically, as a file that ``load`` takes as ``split_file``."""
        write_json(path, self.split)

    @classmethod
    @phase("data check")
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
        inner_fold: str | None = None,
        unlabelled: str | Path | None = None,
    ) -> Self:
        """List the subjects of a folder or datalist JSON, check them and split them.

        Args:
            dataset_dir: folder (BraTS, MSD, nnU-Net raw) or datalist JSON.
            labels: name of the label convention, or ``"auto"``: it follows from the layout.
            modalities: those that this run's networks read; only their files must exist and be sound.
            folds: number of folds; those of ``split_file``, or ``fold`` in a datalist JSON, win over it.
            fold: the fold to test on, or ``"all"``: train on every subject, test on none.
            seed: of the split.
            n_subjects: number of training subjects; smaller sets are contained in larger ones.
            split_file: a split to use in place of a new one.
            val_fraction: share of the patients outside the test fold.
            check: read every voxel of the images; labels are read in any case, for the stratification.
            remember: JSON file that notes files that passed, and checksums: none is read again until it changes.
            inner_fold: patients of the training part to leave out, ``"0/3"`` for the first of three inner folds.
            unlabelled: a folder or datalist JSON of subjects to train on without references, or ``"rest"``: the
                training subjects that ``n_subjects`` leaves out.

        Raises:
            UserError: anything wrong with the data, all of it in one message; unlabelled subjects of a patient who
                has another part in this fold or another name in the data set, ``"rest"`` without ``n_subjects``, or
                an unknown modality.
        """
        modalities = parse_modalities(modalities)
        source = read_source(dataset_dir, modalities)
        remember = Path(remember) if remember is not None else None
        values, file_problems = check_files(source.entries, modalities if check else (), remember)
        problems = source.problems + file_problems
        try:
            convention = choose_convention(labels, source, {value for present in values.values() for value in present})
        except UserError as error:
            problems += [str(error)] if values or not problems else []
        else:
            label_of = {entry["subject"]: entry.get("label", "") for entry in source.entries}
            problems += convention_problems(values, label_of, convention)
        if problems:
            raise data_error(problems)
        without = [name for name, present in values.items() if not set(present) & set(convention.tumour)]
        if without:
            logger.warning("%d subjects have no tumour in their label: %s", len(without), ", ".join(without[:10]))

        with_et = {subject for subject, present in values.items() if convention.enhancing in present}
        cohort = Cohort.of(source.entries, with_et)
        split = make_split(source.entries, cohort, folds, seed, split_file, val_fraction)
        parts = choose_subjects(split, cohort, fold, seed, n_subjects)
        fold_of = {name: k for k, names in enumerate(split["folds"]) for name in names}
        entries: dict[str, Entry] = {}
        for entry in with_sound_images(source.entries, modalities, check, remember):
            entries[entry["subject"]] = {**entry, "fold": fold_of.get(entry["subject"])}
        train, val, test = ([entries[name] for name in names] for names in parts)
        without_references = Unlabelled()
        if unlabelled == REST:
            everyone = choose_subjects(split, cohort, fold, seed, None)[0]
            without_references = rest_of([entries[name] for name in everyone], train, val, n_subjects)
        elif unlabelled is not None:
            used = {"train": train, "validate": val, "test": test}
            without_references = read_unlabelled(unlabelled, modalities, source.entries, used, check, remember)
        if inner_fold is not None:
            left_out = inner_fold_patients(parts[0], cohort, inner_fold, seed, fold)
            # with FOLD=all validation is on training subjects
            train, val = ([entry for entry in part if entry["patient"] not in left_out] for part in (train, val))
            if not val:
                raise UserError(
                    f"inner_fold {inner_fold} of fold {fold} leaves nobody to validate on. Choose more inner folds "
                    "(SET=inner_folds=5), or another val_fraction."
                )
        digest = data_digest(source.entries, remember)
        return cls(train, val, test, modalities, convention, source.layout, digest, split, without_references)
