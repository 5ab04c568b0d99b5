"""The variables of every verb, and the configuration ids they stand for."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
import yaml

from kd_monai.config.config_files import ConfigFiles
from kd_monai.data import REST
from kd_monai.task import LABEL_CONVENTIONS, parse_modalities
from kd_monai.training.launch import STUDENT, TEACHER, train_files

# variable -> (configuration id, what it says)
OVERRIDES = {
    "data": ("dataset_dir", "folder of subjects, or a datalist JSON"),
    "labels": ("labels", f"label convention: auto, {', '.join(LABEL_CONVENTIONS)}"),
    "fold": ("fold", "test fold, or all to train on everything"),
    "folds": ("folds", "number of folds"),
    "split": ("split_file", "split.json of an earlier run"),
    "seed": ("seed", "random seed of weights, order and augmentation; the split has its own (split_seed)"),
    "epochs": ("epochs", "epochs, in place of the recipe's"),
    "n_subjects": ("n_subjects", "train on a nested subset of this many subjects"),
    "device": ("device", "cpu, cuda, cuda:1"),
    "cache": ("cache", "memory or disk"),
    "out": ("output_dir", "where runs are written"),
    "force": ("force", "1 trains a finished run anew"),
    "teachers": ("teachers", "single, or crossfit: each subject is taught by a teacher that has not seen it"),
    "unlabelled": ("unlabelled", "folder of subjects that the teacher labels, or rest: those n_subjects leaves out"),
    "init": ("init", "random, or teacher: the student starts from the teacher's weights"),
}
OF_STUDENT = ("teachers", "unlabelled", "init")  # what neither a teacher nor a baseline has
OTHERS = {
    "modality": "what the student reads: one modality or several joined by '-'",
    "teacher_modalities": "what the teacher reads",
    "method": "distillation method, several joined by ','",
    "network": "basicunet, dynunet, segresnet, multiresunet, swinunetr, unet, or a YAML file (train.yaml's own)",
    "teacher_network": "the same for the teacher alone (NETWORK)",
    "recipe": "paper, study, quick, or a YAML file",
    "teacher": "run folder of a teacher, in place of training one; several joined by ','",
    "note": "file that is told the folder of the run",
    "set": "id=value of the bundle's configuration; may be repeated",
    "teacher_set": "the same for the teacher alone, over SET; may be repeated",
}
LISTS = ("set", "teacher_set")
INTEGERS = {"epochs": 1, "folds": 2, "n_subjects": 1, "seed": 0}  # variable -> the least it may be
CHOICES = {"cache": ("memory", "disk"), "teachers": ("single", "crossfit"), "init": ("random", "teacher")}
# taken as they stand: YAML would read 2024-01-31 as a date
PATHS = ("dataset_dir", "output_dir", "split_file", "unlabelled")
_EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")


@cache
def defaults() -> dict[str, str]:
    """What the bundles' ``train.yaml`` say of the variables that choose modalities and overlays.

    Raises:
        FileNotFoundError: there is no checkout of kd_monai.
    """
    student, teacher = (ConfigFiles.load_config_files(train_files(bundle)) for bundle in (STUDENT, TEACHER))
    chosen = {name: student[name] for name in ("modality", "method", "recipe")}
    return {**chosen, "teacher_modalities": teacher["modality"]}


def read_variables(description: str | None, arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Variables of a verb from a command line; an empty value counts as not given, as an unset make variable is.

    Raises:
        SystemExit: (status 2) an unknown option.
        ValueError: an unknown modality, label convention, cache or device, a number that is none or too small, or
            settings for a teacher that is trained already.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, (target, text) in OVERRIDES.items():
        parser.add_argument(f"--{name.replace('_', '-')}", metavar=name.upper(), help=f"{text} ({target})")
    for name, text in OTHERS.items():
        options: dict[str, Any] = (
            {"action": "append", "default": []} if name in LISTS else {"default": defaults().get(name)}
        )
        parser.add_argument(f"--{name.replace('_', '-')}", metavar=name.upper(), help=text, **options)
    given = parser.parse_args(arguments)
    for name, value in vars(given).items():
        if value == "":
            setattr(given, name, defaults().get(name))
    given.modality = "-".join(parse_modalities(given.modality))
    given.teacher_modalities = "-".join(parse_modalities(given.teacher_modalities))
    if given.labels not in (None, "auto", *LABEL_CONVENTIONS):
        raise ValueError(
            f"LABELS must be auto or one of {', '.join(LABEL_CONVENTIONS)}; got {given.labels!r}. Choose one of them; "
            "auto takes the one that follows from the folder's layout."
        )
    for name, choices in CHOICES.items():
        if getattr(given, name) not in (None, *choices):
            raise ValueError(
                f"{name.upper()} must be {' or '.join(choices)}; got {getattr(given, name)!r}. Choose one of them."
            )
    for name, least in INTEGERS.items():
        _check_integer(name.upper(), getattr(given, name), least)
    if given.unlabelled is not None:
        _check_unlabelled(given.unlabelled, given.n_subjects)
    if given.teacher and given.teacher_set:
        raise ValueError(
            f"TEACHER_SET is for a teacher that the command trains, and TEACHER names one that is trained; got "
            f"{' '.join(given.teacher_set)}, which would change nothing. Leave one of them out."
        )
    if given.device is not None:
        _check_device(given.device)
    return given


def _check_unlabelled(named: str, n_subjects: str | None) -> None:
    # before a teacher is trained, which does not look at them
    if named == REST and n_subjects is None:
        raise ValueError(
            f"UNLABELLED={REST} takes the training subjects that N_SUBJECTS leaves out, and N_SUBJECTS is not given. "
            "Give it, or name a folder of unlabelled subjects."
        )
    if named != REST and not Path(named).expanduser().exists():
        raise ValueError(
            f"UNLABELLED must be {REST}, or name a folder or a datalist JSON; {Path(named).expanduser().absolute()} "
            "does not exist. Correct it."
        )


def _check_integer(name: str, text: str | None, least: int) -> None:
    # YAML reads 010 as 8
    if text is not None and (not re.fullmatch(r"0|[1-9]\d*", text.strip()) or int(text) < least):
        raise ValueError(
            f"{name} must be a whole number, at least {least}; got {text!r}. Correct it, or leave it empty for the "
            "default."
        )


def _check_device(name: str) -> None:
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"DEVICE must be a device of this machine, cpu or cuda; got {name!r}: {str(error).splitlines()[0]} "
            "Leave it empty to take a GPU where there is one."
        ) from error


def overrides_of(given: argparse.Namespace) -> dict[str, Any]:
    """Configuration id -> value of the variables that were given, read as YAML, as MONAI's command line does.

    Raises:
        ValueError: an entry of `set` is not id=value, or a value is no YAML.
    """
    texts = {
        target: getattr(given, name) for name, (target, _) in OVERRIDES.items() if getattr(given, name) is not None
    }
    values: dict[str, Any] = {target: texts.pop(target) for target in PATHS if target in texts}
    values |= {target: _as_yaml(target, text) for target, text in texts.items()} | settings_of(given.set)
    if "force" in values:
        values["force"] = bool(values["force"])
    for target in {"dataset_dir", "unlabelled"} & values.keys():
        if values[target] not in (None, REST):
            values[target] = str(Path(str(values[target])).expanduser().absolute())
    return values


def settings_of(pairs: Sequence[str]) -> dict[str, Any]:
    """Configuration id -> value of the entries of SET or TEACHER_SET.

    Raises:
        ValueError: an entry is not id=value, or a value is no YAML.
    """
    values = {}
    for pair in pairs:
        target, equals, text = pair.partition("=")
        if not equals or not target.strip():
            raise ValueError(
                f"SET (--set) takes id=value of the configuration; got {pair!r}. Write it like learning_rate=0.001."
            )
        values[target.strip()] = _as_yaml(target, text)
    return values


def _as_yaml(target: str, text: str) -> Any:
    try:
        # PyYAML wants a point in 1.0e-3, people and MONAI's command line do not
        return float(text) if _EXPONENT.fullmatch(text.strip()) else yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"The value of {target} must be YAML; got {text!r}: {error}. Correct it.") from error
