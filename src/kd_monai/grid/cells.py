"""What a study trains: teachers per fold and seed, then every method on every modality."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from kd_monai.config.config_files import ConfigFiles
from kd_monai.config.methods import check_heads, inner_folds
from kd_monai.config.settings import fitting, has_place
from kd_monai.config.variables import OF_STUDENT, OTHERS, OVERRIDES, overrides_of
from kd_monai.data import REST, Datalist
from kd_monai.grid.grid import Grid
from kd_monai.runs.identity import COMPUTES, content_key, identity
from kd_monai.config.overlays import STUDENT, TEACHER
from kd_monai.training.roles import configuration_files

# of the variables, those that differ from cell to cell or that no cell takes
_NOT_SHARED = {"fold", "seed", "n_subjects", "modality", "method", "teacher", "note", "force", "set", "teacher_set"}
# and those that only some take
_LEFT_OUT = {"student": set(), "baseline": {*OF_STUDENT}, "teacher": {*OF_STUDENT}}


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
    """The configuration files of a kind of cell, and the settings that they have a place for.

    Attributes:
        inner_folds: those that its cross-fitted teachers leave out; 0 where they are not.
        rest: whether it is taught by what N_SUBJECTS leaves out, too.
    """

    pipeline: str
    kind: str
    method: str
    config: Mapping[str, Any]
    settings: tuple[str, ...]
    inner_folds: int
    rest: bool


def plan(grid: Grid, datalist: Datalist, folds: tuple[int, ...]) -> list[Cell]:
    """The cells of a study, in the order in which they are started: seed by seed, teachers first.

    Methods that are no baseline have teachers: one per fold and seed, trained on all subjects, or with
    ``TEACHER_N_SUBJECTS=same`` one more per number of training subjects. Where a method is cross-fitted, the cell of a
    teacher trains those of its inner folds too, and its students, whatever their number of subjects, find them there.

    Raises:
        ValueError: an unknown method, recipe or network, a setting that no configuration has, a term that reads another
            head, two methods of one name or of two numbers of inner folds, or ``UNLABELLED=rest`` under teachers that
            have seen its references.
    """
    teacher, *methods = _stacks(grid)
    students = [stack for stack in methods if stack.pipeline == "student"]
    _check_rest(grid, students)
    teacher = replace(teacher, settings=(*teacher.settings, *_of_inner_teachers(students)))
    facts = {"data": datalist.digest, "split": datalist.split_digest, "labels": datalist.convention.name}
    cells: dict[str, Cell] = {}
    for seed in grid.seeds:
        own_teachers = grid.n_subjects if grid.teachers_share else (None,)
        for number in own_teachers if students else ():
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


def _check_rest(grid: Grid, students: Sequence[_Stack]) -> None:
    for stack in students:
        if stack.rest and grid.n_subjects == (None,):
            raise ValueError(
                f"UNLABELLED={REST} takes the training subjects that N_SUBJECTS leaves out, and the method "
                f"{stack.kind} asks for them without N_SUBJECTS. Give it, or name a folder of unlabelled subjects."
            )
        if stack.rest and not grid.teachers_share:
            raise ValueError(
                f"With UNLABELLED={REST} ({stack.kind}) no teacher may have seen the references that N_SUBJECTS leaves "
                "out; those of TEACHER_N_SUBJECTS=all have. Set TEACHER_N_SUBJECTS=same."
            )


def _of_inner_teachers(students: Sequence[_Stack]) -> tuple[str, ...]:
    """Settings of the command that trains a teacher, where students are taught by those of its inner folds."""
    folds = {stack.kind: stack.inner_folds for stack in students if stack.inner_folds}
    if len(set(folds.values())) > 1:
        raise ValueError(
            f"Cross-fitted methods of a study share their teachers, and so the number of inner folds; got {folds}. "
            "Give all the same one: SET=inner_folds=3."
        )
    return tuple(setting for n in set(folds.values()) for setting in ("teachers=crossfit", f"inner_folds={n}"))


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
    # the rest of everybody is nobody; a method's file may ask for it, too
    settings = (*stack.settings, "unlabelled=null") if stack.rest and not n_subjects else stack.settings
    here = {"data", "out", "device", "cache", "split", "labels", "recipe"}
    told = {name: value for name, value in variables.items() if name not in here}
    signature = content_key(
        {
            "computes": COMPUTES, "config": identity(stack.config), "variables": told, "settings": list(settings),
            "teacher": teacher.signature if teacher else None, **facts,
        }
    )  # fmt: skip
    name = _name(f"{stack.kind}_{modality}" if modality else stack.kind, fold, seed, n_subjects)
    return Cell(name, stack.pipeline, stack.kind, variables, settings, teacher.name if teacher else "", signature)


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
    wanted = overrides_of(given)
    fitting(wanted, first, others)  # what none of them knows is refused
    for own in others:
        check_heads(own, wanted)
    pairs = {pair.partition("=")[0].strip(): pair for pair in given.set}
    for name, own in files.items():
        config = ConfigFiles.load_config_files([str(file) for file in own])
        fixed = ConfigFiles.load_config_file(own[-1]).keys() if name == "baseline" else ()
        known = ConfigParser(config)
        student = name not in ("", "baseline")
        yield _Stack(
            pipeline="student" if student else name or "teacher",
            kind="-".join(Path(part).stem for part in named[name].split(",")) if name else "teacher",
            method=named.get(name, ""),
            config=config,
            settings=(
                *(pair for target, pair in pairs.items() if has_place(target, known, fixed)),
                *(() if name else given.teacher_set),  # over those of all
            ),
            inner_folds=inner_folds(own, wanted) if student else 0,
            rest=student and {**config, **wanted}["unlabelled"] == REST,
        )
