"""What a study would be refused for after days, refused before its first job."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from kd_monai.config.plan import Plans
from kd_monai.config.variables import Command
from kd_monai.data import Datalist
from kd_monai.grid.jobs import Job, Kinds
from kd_monai.training.preflight import preflight, read_datalist


def read_data(command: Command, kinds: Kinds) -> tuple[Datalist, list[int]]:
    """Data and split of a study, and its test folds.

    All folds are read, with the files of every sequence that a network of the study reads and with its largest number
    of training subjects.

    Raises:
        UserError: the data have a fault, there is no such fold, or it has fewer training subjects than N_SUBJECTS.
    """
    texts = (*command["MODALITIES"], kinds.teacher.plan.config["modality"])
    modalities = sorted({name for text in texts for name in text.split("-")})
    largest = max((number for number in kinds.numbers if number is not None), default=None)

    def read(fold: int) -> Datalist:
        return read_datalist(kinds.teacher.plan, modalities=modalities, fold=fold, n_subjects=largest)

    first = read((command["FOLD"] or (0,))[0])
    folds = list(command["FOLD"] or range(len(first.split["folds"])))
    for fold in folds[1:]:
        read(fold)
    return first, folds


def check(job: Job) -> None:
    """Refuse what a student's job would be refused for when its teacher is trained.

    Raises:
        UserError: data, networks, terms or start of teacher and student do not go together.
    """
    if job.teacher is not None:
        preflight(Plans(job.teacher.plan, job.plan))


def to_check(jobs: Sequence[Job]) -> Iterator[Job]:
    """Jobs that stand for all in `check`: one of each method and of sequences that networks cannot tell apart.

    Folds and subsets count where a method asks for unlabelled subjects or cross-fitted teachers.
    """
    seen: set[tuple[Any, ...]] = set()
    for job in jobs:
        if job.teacher is None:
            continue
        read, teachers = (set(plan.config["modality"].split("-")) for plan in (job.plan, job.teacher.plan))
        key: tuple[Any, ...] = (job.kind.name, len(read), read <= teachers)
        if job.plan.config["unlabelled"] is not None or job.kind.plans.inner_folds:
            key += (job.plan.config["fold"], job.plan.config["n_subjects"], job.plan.config["unlabelled"])
        if key not in seen:
            seen.add(key)
            yield job
