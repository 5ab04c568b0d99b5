"""What a study trains: teachers per fold and seed, then every method on every modality."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from kd_monai.data import REST, Datalist
from kd_monai.study.config import NOT_IDENTITY, run_key
from kd_monai.study.grid import Grid
from kd_monai.study.launch import STUDENT, TEACHER
from kd_monai.study.roles import configuration_files
from kd_monai.study.settings import fitting, has_place
from kd_monai.study.variables import OF_STUDENT, OTHERS, OVERRIDES, overrides_of

# of the variables, those that differ from cell to cell or that no cell takes
_NOT_SHARED = {"fold", "seed", "n_subjects", "modality", "method", "teacher", "note", "force", "set", "teacher_set"}
# and those that only some take: a teacher cell trains the teachers of the inner folds too
_LEFT_OUT = {"student": set(), "baseline": {*OF_STUDENT}, "teacher": {*OF_STUDENT} - {"teachers"}}


@dataclass(frozen=True)
class Cell:
    """One training and its scores: a command that a user could type.

    Attributes:
        name: of its log, and in ``study.json``.
        pipeline: teacher, baseline or student.
        kind: ``teacher``, or its method: cells of a kind take about as long.
        variables: variable -> value of the command.
        settings: its ``--set``.
        teacher: name of the cell whose network teaches it; empty where none does.
        signature: hash of what decides what it learns: configuration files, variables, data, split, teacher. What it
            does not see (versions, the precision that the hardware has) the run's own key does.
    """

    name: str
    pipeline: str
    kind: str
    variables: Mapping[str, str]
    settings: tuple[str, ...]
    teacher: str
    signature: str

    def arguments(self, note: Path, teacher: str) -> list[str]:
        """Its command's options.

        Args:
            note: file that is told the folder of its run.
            teacher: folder of its teacher's run, where one teaches it.
        """
        named = {**self.variables, **({"teacher": teacher} if self.teacher else {}), "note": str(note)}
        options = [part for name, value in named.items() for part in (f"--{name.replace('_', '-')}", value)]
        return options + [part for setting in self.settings for part in ("--set", setting)]


@dataclass(frozen=True)
class _Stack:
    """The configuration files of a kind of cell, and the settings that they have a place for."""

    pipeline: str
    kind: str
    method: str
    config: Mapping[str, Any]
    settings: tuple[str, ...]


def plan(grid: Grid, datalist: Datalist, folds: tuple[int, ...]) -> list[Cell]:
    """The cells of a study, in the order in which they are started: seed by seed, teachers first.

    Methods that are no baseline have teachers: one per fold and seed, trained on all subjects, or with
    ``TEACHER_N_SUBJECTS=same`` one more per number of training subjects.

    Raises:
        ValueError: an unknown method, recipe or network, a setting that no configuration has, or two methods of one
            name.
    """
    teacher, *methods = _stacks(grid)
    facts = {"data": datalist.digest, "split": datalist.split_digest, "labels": datalist.convention.name}
    cells: dict[str, Cell] = {}
    for seed in grid.seeds:
        own_teachers = grid.n_subjects if grid.teachers_share else (None,)
        for number in own_teachers if any(stack.pipeline == "student" for stack in methods) else ():
            for fold in folds:
                cell = _cell(grid, teacher, fold, seed, number, "", None, facts)
                cells[cell.name] = cell
        for number in grid.n_subjects:
            for modality in grid.modalities:
                for fold in folds:
                    taught_by = cells.get(_name("teacher", fold, seed, number if grid.teachers_share else None))
                    for stack in methods:
                        teaches = taught_by if stack.pipeline == "student" else None
                        cell = _cell(grid, stack, fold, seed, number, modality, teaches, facts)
                        if cell.name in cells:
                            raise ValueError(
                                f"METHODS must differ in their names; two are called {stack.kind}. Rename one."
                            )
                        cells[cell.name] = cell
    return list(cells.values())


def _name(of: str, fold: int, seed: int, n_subjects: int | None) -> str:
    return f"{of}-fold{fold}-seed{seed}" + ("" if n_subjects is None else f"-n{n_subjects}")


def _cell(
    grid: Grid,
    stack: _Stack,
    fold: int,
    seed: int,
    n_subjects: int | None,
    modality: str,
    teacher: Cell | None,
    facts: Mapping[str, str],
) -> Cell:
    variables = {name: value for name, value in _shared(grid).items() if name != "teacher_modalities" or not modality}
    left_out = _LEFT_OUT[stack.pipeline] | (
        {"unlabelled"} if grid.given.unlabelled == REST and not n_subjects else set()
    )
    variables = {name: value for name, value in variables.items() if name not in left_out}
    variables |= {"fold": str(fold), "seed": str(seed)}
    variables |= {} if n_subjects is None else {"n_subjects": str(n_subjects)}
    variables |= {"modality": modality} if modality else {}
    variables |= {"method": stack.method} if stack.pipeline == "student" else {}
    here = {"data", "out", "device", "cache", "split", "labels", "recipe"}
    told = {name: value for name, value in variables.items() if name not in here}
    signature = run_key(
        {"config": {name: value for name, value in stack.config.items() if name not in NOT_IDENTITY}}
        | {"variables": told, "settings": list(stack.settings)},
        teacher=teacher.signature if teacher else None,
        **facts,
    )
    name = _name(f"{stack.kind}_{modality}" if modality else stack.kind, fold, seed, n_subjects)
    return Cell(name, stack.pipeline, stack.kind, variables, stack.settings, teacher.name if teacher else "", signature)


def _shared(grid: Grid) -> dict[str, str]:
    """Variables that all cells are given."""
    values = {name: getattr(grid.given, name) for name in (*OVERRIDES, *OTHERS) if name not in _NOT_SHARED}
    return {name: str(value) for name, value in values.items() if value is not None}


def _stacks(grid: Grid) -> Iterator[_Stack]:
    """The teacher's, then one per method; `SET` reaches those that know the id."""
    given = grid.given
    named = {name: name.replace("+", ",") for name in grid.methods}
    files = {"": configuration_files(TEACHER, given)}
    files |= {name: configuration_files(STUDENT, given, method) for name, method in named.items()}
    first, *others = files.values()
    fitting(overrides_of(given), first, others)  # what none of them knows is refused
    pairs = {pair.partition("=")[0].strip(): pair for pair in given.set}
    for name, own in files.items():
        config = ConfigParser.load_config_files([str(file) for file in own])
        fixed = ConfigParser.load_config_file(own[-1]).keys() if name == "baseline" else ()
        known = ConfigParser(config)
        yield _Stack(
            pipeline="student" if name not in ("", "baseline") else name or "teacher",
            kind="-".join(Path(part).stem for part in named[name].split(",")) if name else "teacher",
            method=named.get(name, ""),
            config=config,
            settings=(
                *(pair for target, pair in pairs.items() if has_place(target, known, fixed)),
                *(() if name else given.teacher_set),  # over those of all
            ),
        )
