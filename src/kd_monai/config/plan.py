"""What a run is going to do: its configuration, resolved once and handed on."""

from __future__ import annotations

import copy
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import fire
import yaml
from monai.bundle import ConfigParser
from monai.bundle.scripts import update_kwargs

from kd_monai.config.overlays import SHARED, STUDENT, TEACHER, in_component, lookup, overlay, stacked, train_files
from kd_monai.config.variables import Command, nearest, of_verb
from kd_monai.errors import UserError

_EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")


@dataclass(frozen=True)
class Plan:
    """One run that is not begun.

    Attributes:
        role: teacher, baseline or student.
        bundle: the folder of its bundle.
        files: ``preprocessing.yaml``, ``train.yaml`` and the overlays behind them, in order.
        overrides: configuration id -> value, over the files.
        config: what they come to, references unresolved. Do not change it; `parser` gives a copy.
        processes: that train it together, one for each GPU.
    """

    role: str
    bundle: Path
    files: tuple[Path, ...]
    overrides: Mapping[str, Any]
    config: Mapping[str, Any]
    processes: int = 1

    @classmethod
    def read(cls, role: str, bundle: Path, files: Sequence[Path], overrides: Mapping[str, Any]) -> Plan:
        """The plan of these files and overrides; each file is read once.

        Raises:
            UserError: a file or an override does not fit; see `stacked`.
        """
        return cls(role, bundle, tuple(files), MappingProxyType({}), stacked(files)).changed(overrides)

    def changed(self, overrides: Mapping[str, Any]) -> Plan:
        """The plan with further overrides."""
        parser = self.parser()
        parser.update(dict(overrides))
        together = MappingProxyType({**self.overrides, **overrides})
        return replace(self, overrides=together, config=dict(parser.get()))

    def parser(self) -> ConfigParser:
        """MONAI's parser of a copy of the configuration."""
        return ConfigParser(copy.deepcopy(dict(self.config)))

    def knows(self, target: str) -> bool:
        """Whether an id stands in the configuration, or is a new argument of one of its components."""
        name = target.replace("::", "#").lstrip("+")
        above, _, last = name.rpartition("#")
        holder = lookup(self.config, above) if above else self.config
        if isinstance(holder, Mapping) and last in holder:
            return True
        return lookup(self.config, name) is not None or in_component(self.config, name)


@dataclass(frozen=True)
class Plans:
    """The runs of a command, none of them begun.

    Attributes:
        teacher: None where TEACHER names a finished one, or a baseline is trained alone.
        student: the student, or the baseline.
        teacher_runs: what TEACHER names.
    """

    teacher: Plan | None
    student: Plan
    teacher_runs: tuple[Path, ...] = ()

    @property
    def teaches(self) -> bool:
        """Whether the student has a teacher."""
        return self.student.role == "student"

    @property
    def inner_folds(self) -> int:
        """Inner folds of the student's cross-fitted teachers; 0 without them.

        Raises:
            UserError: `inner_folds` is no whole number, at least 2.
        """
        config = self.student.config
        if config["teachers"] != "crossfit" or config["inner_folds"] is None:  # of a baseline: null
            return 0
        number = config["inner_folds"]
        if not isinstance(number, int) or isinstance(number, bool) or number < 2:
            raise UserError(f"inner_folds must be a whole number, at least 2; got {number!r}. Correct SET=inner_folds.")
        return number


def read_plans(command: Command, role: str) -> Plans:
    """The plans of a command, every name and value checked before anything is trained.

    Args:
        command: of a verb that trains.
        role: student (with its teacher) or baseline; METHOD=baseline makes the one the other.

    Raises:
        UserError: an overlay, an id of SET or TEACHER_SET or a value does not exist or does not fit.
    """
    values = command.values
    method = "baseline" if role == "baseline" else values.get("METHOD") or "kdnet"
    role = "baseline" if method == "baseline" else "student"
    overrides, for_teacher = _overrides(command), _settings(command, "TEACHER_SET")
    named = tuple(values.get("TEACHER") or ())
    if named and for_teacher:
        raise UserError(
            "TEACHER_SET is for a teacher that the command trains, and TEACHER names one that is trained. "
            "Leave one of them out."
        )
    teacher = _base(TEACHER, "teacher", command, values.get("TEACHER_NETWORK") or values["NETWORK"])
    student = _base(STUDENT, role, command, values["NETWORK"], method)
    settings = _settings(command, "SET")
    known = [teacher, student]
    if role == "baseline":  # beside a student, whose settings are none of its own
        taught = values.get("METHOD") or "kdnet"
        known.append(_base(STUDENT, "student", command, values["NETWORK"], "kdnet" if taught == "baseline" else taught))
    for variable, changes in (("SET", settings), ("TEACHER_SET", for_teacher)):
        if "modality" in changes:
            raise UserError(
                f"{variable} does not take modality. Use MODALITY of a student, TEACHER_MODALITIES of a teacher."
            )
    _check_ids("SET", settings, known)
    _check_ids("TEACHER_SET", for_teacher, [teacher])
    student = student.changed({**_fitting(student, {**overrides, **settings}), **_typed(command, "MODALITY")})
    _check_device("DEVICE", student)
    if role == "baseline" or named:
        return Plans(None, student, named)
    if command.verb == "student":  # FORCE does again what was named
        overrides.pop("force", None)
    wanted = {**overrides, **settings, **for_teacher}
    teacher = teacher.changed({**_fitting(teacher, wanted), **_typed(command, "TEACHER_MODALITIES")})
    _check_device("TEACHER_SET=device", teacher)
    return Plans(teacher, student)


def _check_device(variable: str, plan: Plan) -> None:
    device = plan.config["device"]
    if plan.processes > 1 and isinstance(device, str) and device != "cpu":
        raise UserError(
            f"GPUS={plan.processes} gives each process its GPU; {variable}={device} does not. Leave {variable} out."
        )


def _base(bundle: Path, role: str, command: Command, network: str | None, method: str = "") -> Plan:
    """Files of a role. A file of the user's names its runs, or they would be filed under the bundle's own name."""
    processes = command.values.get("GPUS") or 1
    recipe = overlay(bundle, "recipe", command["RECIPE"])
    files = [*train_files(bundle), recipe]
    files += [overlay(bundle, "network", network)] if network else []
    files += [overlay(bundle, "method", method)] if method else []
    names = {"recipe": recipe.stem} | ({"method": files[-1].stem} if method else {})
    files += [SHARED / "multi_gpu_train.yaml"] if processes > 1 else []
    return replace(Plan.read(role, bundle, files, names), processes=processes)


def _typed(command: Command, name: str) -> dict[str, str]:
    return {"modality": command[name]} if name in command.typed else {}


def _settings(command: Command, name: str) -> dict[str, Any]:
    return {target: as_yaml(target, text) for target, text in (command.values.get(name) or {}).items()}


def _overrides(command: Command) -> dict[str, Any]:
    """Configuration id -> value of the variables that were typed."""
    values: dict[str, Any] = {}
    for name, variable in of_verb(command.verb).items():
        if variable.target and variable.target != "modality" and name in command.typed:
            value = command[name]
            values[variable.target] = str(value) if isinstance(value, Path) else value
    # where data and runs lie does not depend on the folder that a run is continued from
    return (
        values
        | {"output_dir": str(command["OUT"])}
        | ({"dataset_dir": str(command["DATA"])} if command["DATA"] else {})
    )


def _fitting(plan: Plan, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Those that the plan has a place for: a teacher has no terms, a baseline no teachers."""
    # what makes a baseline one is not changed by an override
    methods = [file for file in plan.files if file.parent.name == "methods"]
    fixed = stacked(methods) if plan.role == "baseline" else ()
    return {
        target: value
        for target, value in overrides.items()
        if plan.knows(target) and target.replace("::", "#").partition("#")[0] not in fixed
    }


def _check_ids(variable: str, settings: Mapping[str, Any], plans: Sequence[Plan]) -> None:
    for target in settings:
        if not any(plan.knows(target) for plan in plans):
            ids = sorted({name for plan in plans for name in _ids(plan.config)})
            raise UserError(
                f"{variable} takes ids of the configuration; {target!r} is none{nearest(target, ids)} See "
                f"{SHARED / 'train.yaml'}."
            )


def _ids(config: Any, prefix: str = "") -> list[str]:
    """All ids of a configuration, written with #."""
    if not isinstance(config, Mapping):
        return []
    inner = [f"{prefix}{key}" for key in config]
    return inner + [name for key, value in config.items() for name in _ids(value, f"{prefix}{key}#")]


def as_yaml(target: str, text: str) -> Any:
    """The value of a text, as MONAI's command line reads it.

    Raises:
        UserError: it is no YAML.
    """
    try:
        # PyYAML wants a point in 1.0e-3, people and MONAI's command line do not
        return float(text) if _EXPONENT.fullmatch(text.strip()) else yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"The value of {target} must be YAML; got {text!r}: {error}. Correct it.") from error


def command_line_plan() -> Plan:
    """The plan of this process, which is ``python -m monai.bundle run``: make hands its own plan in.

    Raises:
        UserError: this process is another one, a file has no place for an override, or a nested section of an overlay
            would replace what stands before it.
    """
    arguments: dict[str, Any] = {}

    def run(**words: Any) -> None:
        arguments.update(words)

    if Path(sys.argv[0]).parts[-3:] != ("monai", "bundle", "__main__.py") or sys.argv[1:2] != ["run"]:
        raise UserError(
            "A run is identified by its configuration. Train with make, with `python -m kd_monai`, or with "
            f"`python -m monai.bundle run`; this process is {sys.argv[0]}."
        )
    fire.Fire({"run": run}, command=sys.argv[1:], name="monai.bundle")
    words = update_kwargs(arguments.pop("args_file", None), **arguments)
    files = words.pop("config_file")
    named = [Path(file) for file in ([files] if isinstance(files, str) else files)]
    bundle = Path(words.get("bundle_root") or named[0].parent.parent)
    for name in ("meta_file", "logging_file", "init_id", "run_id", "final_id", "tracking", "workflow_type"):
        words.pop(name, None)
    plan = Plan.read("", bundle, named, {})
    if plan.config != ConfigParser.load_config_files([str(file) for file in named]):
        raise UserError(
            f"Nested sections of {', '.join(file.name for file in named[1:])} would replace whole sections of "
            f"{named[0].name} under monai.bundle. Write section#name: value instead."
        )
    _check_ids("The command line", words, [plan])
    plan = plan.changed(words)
    return replace(plan, role=str(plan.config.get("role", "")))
