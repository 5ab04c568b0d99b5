"""The jobs of a study: teachers per fold and seed, then every method on every sequence."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kd_monai.config.plan import Plan, Plans, read_plans
from kd_monai.config.variables import Command, command_line, of_verb, read_command
from kd_monai.data import REST, Datalist
from kd_monai.errors import UserError
from kd_monai.runs.identity import run_key

_OF_STUDY = ("FOLD", "N_SUBJECTS", "CACHE", "OUT", "SET", "TEACHER_SET", "SUBJECTS", "SPACING_MM", "PHANTOM")
"""Variables that a job does not take from the study as they were typed."""


@dataclass(frozen=True)
class Kind:
    """What the jobs of a teacher, or of one method, share. Jobs of a kind take about as long.

    Attributes:
        name: ``teacher``, or the name of its method.
        role: teacher, baseline or student; the verb of their commands.
        variables: name -> text, of all but fold, seed, subjects and sequence.
        settings: configuration id -> text, of SET.
        plans: of one of them.
    """

    name: str
    role: str
    variables: Mapping[str, str]
    settings: Mapping[str, str]
    plans: Plans

    @classmethod
    def read(cls, command: Command, role: str, method: str = "", inner_folds: int = 0) -> Kind:
        """A kind of a study; SET and TEACHER_SET reach the kinds whose configuration knows the id.

        Args:
            command: the study's.
            role: teacher, baseline or student.
            method: of a student, as METHOD takes it.
            inner_folds: of a teacher, whose command trains those of its inner folds too.

        Raises:
            UserError: an unknown method, recipe or network, or a setting that does not fit.
        """
        names = of_verb(role).keys() - {*_OF_STUDY}
        variables = {name: text for name, text in command.typed.items() if name in names}
        if method:
            variables["METHOD"] = str(Path(method).expanduser().absolute()) if _is_file(method) else method
        variables |= {"CACHE": command["CACHE"], "OUT": str(command["OUT"])}
        variables |= {"TEACHERS": "crossfit"} if inner_folds else {}
        wanted = dict(command["SET"] or {}) | (dict(command["TEACHER_SET"] or {}) if role == "teacher" else {})
        plans = _read(role, variables)
        settings = {target: text for target, text in wanted.items() if _plan(role, plans).knows(target)}
        settings |= {"inner_folds": str(inner_folds)} if inner_folds else {}
        if settings:
            plans = _read(role, {**variables, "SET": as_text(settings)})
        return cls(Path(method).stem if _is_file(method) else method or role, role, variables, settings, plans)

    @property
    def plan(self) -> Plan:
        """Of what its jobs train."""
        return _plan(self.role, self.plans)


@dataclass(frozen=True)
class Job:
    """One training and its scores.

    Attributes:
        name: says what it trains: ``kdnet_t1ce-fold0-seed0``.
        kind: what it shares with others.
        variables: name -> text of its command, all but TEACHER and NOTE.
        teacher: the job that trains its teacher; None where it has none.
        plan: of what it trains.
        signature: hash of what decides what it learns: configuration, data, split, teacher. It is known before the
            job runs; the run's own key is known when it does.
    """

    name: str
    kind: Kind
    variables: Mapping[str, str]
    teacher: Job | None
    plan: Plan = field(repr=False)
    signature: str

    @property
    def id(self) -> str:
        """Name of its files. A job of another setting has another one, so that both can be finished in one OUT."""
        return re.sub(r"[^A-Za-z0-9._-]", "_", self.name) + f"-{self.signature[:8]}"


@dataclass(frozen=True)
class Kinds:
    """The kinds of jobs of a study.

    Attributes:
        teacher: of the teachers.
        methods: baseline and students, in the order of METHODS.
        numbers: of training subjects; None for all.
        same: whether teachers are trained on their students' subjects.
    """

    teacher: Kind
    methods: Sequence[Kind]
    numbers: Sequence[int | None]
    same: bool

    @property
    def students(self) -> list[Kind]:
        """Those that have a teacher."""
        return [kind for kind in self.methods if kind.role == "student"]


def read_kinds(command: Command) -> Kinds:
    """The kinds of jobs that a study has.

    Raises:
        UserError: an unknown method, recipe, network or setting; two methods of one name, or of two numbers of inner
            folds; ``UNLABELLED=rest`` under teachers that have seen its references.
    """
    methods = [
        Kind.read(command, "baseline" if name == "baseline" else "student", "" if name == "baseline" else name)
        for name in command["METHODS"]
    ]
    _check_distinct("METHODS must differ in their names", [kind.name for kind in methods])
    _check_distinct("MODALITIES names each entry once", command["MODALITIES"])
    folds = {kind.name: kind.plans.inner_folds for kind in methods if kind.plans.inner_folds}
    if len(set(folds.values())) > 1:
        raise UserError(
            f"Cross-fitted methods of a study share their teachers, and so the number of inner folds; got {folds}. "
            "Give all the same one: SET=inner_folds=3."
        )
    teacher = Kind.read(command, "teacher", inner_folds=max(folds.values(), default=0))
    _check_settings(command, teacher, methods)
    numbers = [None if number == "all" else number for number in command["N_SUBJECTS"]]
    kinds = Kinds(teacher, methods, numbers, command["TEACHER_N_SUBJECTS"] == "same")
    _check_withheld_references(kinds)
    return kinds


def make_jobs(
    command: Command, kinds: Kinds, datalist: Datalist, folds: Sequence[int], precision: str = ""
) -> list[Job]:
    """The jobs of a study, in the order in which they start: seed by seed, teachers first.

    Methods that are no baseline have teachers: one for each fold and seed, trained on all subjects, or with
    TEACHER_N_SUBJECTS=same one for each number of training subjects. Where a method is cross-fitted, the job of a
    teacher trains those of its inner folds too; its students find them, whatever their number of subjects.

    Args:
        command: the study's.
        kinds: of its jobs.
        datalist: its data and split.
        folds: test folds.
        precision: bf16 or fp32, of all jobs whose configuration leaves it to the machine.
    """
    facts = {"data": datalist.digest, "split": datalist.split_digest, "labels": datalist.convention.name}
    facts |= {"precision": precision, "processes": str(command["GPUS"] or 1)}
    jobs: list[Job] = []
    for seed in command["SEEDS"]:
        teachers: dict[tuple[int, int | None], Job] = {}
        for number in (kinds.numbers if kinds.same else [None]) if kinds.students else []:
            for fold in folds:
                teachers[fold, number] = _job(kinds.teacher, fold, seed, number, "", None, facts)
        jobs += teachers.values()
        for number in kinds.numbers:
            for modality in command["MODALITIES"]:
                for fold in folds:
                    for kind in kinds.methods:
                        teacher = teachers[fold, number if kinds.same else None] if kind.role == "student" else None
                        jobs.append(_job(kind, fold, seed, number, modality, teacher, facts))
    return jobs


def _job(
    kind: Kind,
    fold: int,
    seed: int,
    number: int | None,
    modality: str,
    teacher: Job | None,
    facts: Mapping[str, str],
) -> Job:
    variables, settings = dict(kind.variables), dict(kind.settings)
    changes: dict[str, Any] = {"fold": fold, "seed": seed}
    variables |= {"FOLD": str(fold), "SEED": str(seed)}
    if number is not None:
        variables["N_SUBJECTS"], changes["n_subjects"] = str(number), number
    if modality:
        variables["MODALITY"], changes["modality"] = modality, modality
    if facts["precision"] and kind.plan.config["precision"] == "auto":
        settings["precision"] = changes["precision"] = facts["precision"]
    if kind.role == "student" and kind.plan.config["unlabelled"] == REST and number is None:
        # the rest of everybody is nobody; a method's file may ask for it, too
        changes["unlabelled"] = None
        if variables.pop("UNLABELLED", None) is None:
            settings["unlabelled"] = "null"
    if teacher is not None:  # its command names a trained one
        variables = {name: text for name, text in variables.items() if not name.startswith("TEACHER_")}
    if settings:
        variables["SET"] = as_text(settings)
    plan = kind.plan.changed(changes)
    unlabelled = str(plan.config.get("unlabelled"))
    signature = run_key(
        dict(plan.config), teacher=teacher.signature if teacher else None, unlabelled=unlabelled, **facts
    )
    name = f"{kind.name}_{modality}" if modality else kind.name
    name += f"-fold{fold}-seed{seed}" + ("" if number is None else f"-n{number}")
    return Job(name, kind, variables, teacher, plan, signature)


def as_text(settings: Mapping[str, str]) -> str:
    """Settings as SET takes them."""
    return " ".join(f"{target}={text}" for target, text in settings.items())


def _is_file(method: str) -> bool:
    return method.endswith((".yaml", ".yml"))


def _read(role: str, variables: Mapping[str, str]) -> Plans:
    command = read_command(command_line(role, variables))
    return read_plans(command, "baseline" if role == "baseline" else "student")


def _plan(role: str, plans: Plans) -> Plan:
    if role != "teacher":
        return plans.student
    if plans.teacher is None:
        raise ValueError("The command of a teacher plans one.")
    return plans.teacher


def _check_distinct(rule: str, names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"{rule}; {name} stands twice. Rename one, or leave it out.")


def _check_settings(command: Command, teacher: Kind, methods: Sequence[Kind]) -> None:
    """Have an id that no job knows refused by the command of one."""
    for variable, kinds in (("SET", [teacher, *methods]), ("TEACHER_SET", [teacher])):
        for target, text in (command[variable] or {}).items():
            if not any(kind.plan.knows(target) for kind in kinds):
                _read(kinds[-1].role, {**kinds[-1].variables, variable: as_text({target: text})})


def _check_withheld_references(kinds: Kinds) -> None:
    for kind in kinds.students:
        if kind.plan.config["unlabelled"] != REST:
            continue
        if list(kinds.numbers) == [None]:
            raise UserError(
                f"UNLABELLED={REST} takes the training subjects that N_SUBJECTS leaves out, and the method "
                f"{kind.name} asks for them without N_SUBJECTS. Give it, or name a folder of unlabelled subjects."
            )
        if not kinds.same:
            raise UserError(
                f"With UNLABELLED={REST} ({kind.name}) no teacher may have seen the references that N_SUBJECTS "
                "leaves out; those of TEACHER_N_SUBJECTS=all have. Set TEACHER_N_SUBJECTS=same."
            )
