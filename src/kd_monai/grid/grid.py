"""The variables of a study: which cells, how many at once, where."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from kd_monai.config.config_files import ConfigFiles
from kd_monai.config.variables import read_variables
from kd_monai.task import parse_modalities
from kd_monai.config.overlays import STUDENT

Value = TypeVar("Value")

SCHEDULERS = ("local", "submitit", "slurm")
LISTS = {
    "modalities": ("t1,t1ce,t2,flair", "what students read, joined by ','; several at once joined by '-'"),
    "methods": ("baseline,kdnet", "methods joined by ','; stacked ones joined by '+'"),
    "seeds": ("0", "random seeds joined by ','"),
    "fold": ("", "test folds joined by ',' (all of FOLDS)"),
    "n_subjects": ("all", "numbers of the students' training subjects joined by ',', nested subsets; or all"),
}
OTHERS = {
    "teacher_n_subjects": ("all", "all, or same: of each number of training subjects its own teachers"),
    "jobs": ("1", "cells at once"),
    "scheduler": ("local", "local: processes of this machine; slurm: jobs; submitit: slurm's way on this machine"),
    "slurm": ("", "name=value of submitit's update_parameters, several with a space between"),
}
# a study sets these for each cell
SINGLE = {
    "modality": "Give MODALITIES.",
    "method": "Give METHODS.",
    "seed": "Give SEEDS.",
    "teacher": "It trains its teachers.",
    "force": "Do a single run again with FORCE=1, or choose another OUT.",
    "note": "It finds its runs itself.",
}


@dataclass(frozen=True)
class Grid:
    """A study as its user asked for it.

    Attributes:
        given: variables that all cells share, as `read_variables` gives them; `out` and `cache` are set.
        modalities, methods, seeds: one or more of each.
        folds: test folds; none where all of the split are meant.
        n_subjects: numbers of training subjects of students; None for all.
        teachers_share: whether teachers are trained on their students' subsets.
        jobs: cells at once.
        scheduler: one of `SCHEDULERS`.
        cluster: parameters of a job.
    """

    given: argparse.Namespace
    modalities: tuple[str, ...]
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    folds: tuple[int, ...]
    n_subjects: tuple[int | None, ...]
    teachers_share: bool
    jobs: int
    scheduler: str
    cluster: dict[str, str]


def read_grid(description: str | None, arguments: Sequence[str] | None = None) -> Grid:
    """A study from a command line; an empty value counts as not given. Its cache is on disk unless CACHE=memory.

    Raises:
        SystemExit: (status 2) an unknown option.
        ValueError: a variable of a single run, an unknown value, or one that is named twice.
    """
    parser = argparse.ArgumentParser(
        description=description,
        epilog="All other variables are those of every verb: see python pipelines/student.py --help.",
        allow_abbrev=False,
    )
    for name, (default, text) in {**LISTS, **OTHERS}.items():
        shown = f"{text} (default {default})" if default else text
        parser.add_argument(f"--{name.replace('_', '-')}", metavar=name.upper(), default="", help=shown)
    chosen, rest = parser.parse_known_args(arguments)
    values = {name: getattr(chosen, name).strip() or default for name, (default, _) in {**LISTS, **OTHERS}.items()}
    for name, remedy in SINGLE.items():
        if any(part == f"--{name}" or part.startswith(f"--{name}=") for part in rest):
            raise ValueError(f"A study sets {name.upper()} for each of its runs; got --{name}. {remedy}")
    lists = {name: _parts(name, values[name]) for name in LISTS}
    n_subjects = _distinct("n_subjects", [_number_or_all(text) for text in lists["n_subjects"]])
    some = [str(number) for number in n_subjects if number is not None][:1]  # whether UNLABELLED=rest has a meaning
    given = read_variables(description, [*rest, *(part for text in some for part in ("--n-subjects", text))])
    given.n_subjects = None
    given.cache = given.cache or "disk"
    given.out = given.out or ConfigFiles.load_config_files(train_files(STUDENT))["output_dir"]
    for name, allowed in (("scheduler", SCHEDULERS), ("teacher_n_subjects", ("all", "same"))):
        if values[name] not in allowed:
            raise ValueError(f"{name.upper()} must be one of {', '.join(allowed)}; got {values[name]!r}. Correct it.")
    return Grid(
        given=given,
        modalities=_distinct("modalities", ["-".join(parse_modalities(text)) for text in lists["modalities"]]),
        methods=_distinct("methods", lists["methods"]),
        seeds=_distinct("seeds", _numbers("seeds", lists["seeds"], 0)),
        folds=_distinct("fold", _numbers("fold", lists["fold"], 0)),
        n_subjects=n_subjects,
        teachers_share=values["teacher_n_subjects"] == "same",
        jobs=_numbers("jobs", [values["jobs"]], 1)[0],
        scheduler=values["scheduler"],
        cluster=_pairs(values["slurm"]),
    )


def _parts(name: str, text: str) -> list[str]:
    parts = [part.strip() for part in text.split(",")] if text else []
    if not all(parts):
        raise ValueError(f"{name.upper()} lists values joined by ','; got {text!r}, with an empty one. Correct it.")
    return parts


def _distinct(name: str, values: Sequence[Value]) -> tuple[Value, ...]:
    if len(set(values)) < len(values):
        raise ValueError(f"{name.upper()} names each value once; got {', '.join(map(str, values))}. Correct it.")
    return tuple(values)


def _numbers(name: str, texts: Sequence[str], least: int) -> list[int]:
    for text in texts:
        if not re.fullmatch(r"0|[1-9]\d*", text) or int(text) < least:
            raise ValueError(f"{name.upper()} takes whole numbers, at least {least}; got {text!r}. Correct it.")
    return [int(text) for text in texts]


def _number_or_all(text: str) -> int | None:
    return None if text == "all" else _numbers("n_subjects", [text], 1)[0]


def _pairs(text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in text.split()]
    if not all(name and equals for name, equals, _ in pairs):
        raise ValueError(f"SLURM takes name=value, several with a space between; got {text!r}. Correct it.")
    return {name: value for name, _, value in pairs}
