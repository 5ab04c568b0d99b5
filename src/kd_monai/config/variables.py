"""The one table of variables: what each verb takes, in which form, and what it is when nobody gives it.

It needs the standard library alone, so that `make` can print it before anything is installed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any

from kd_monai.errors import UserError
from kd_monai.task import LABEL_CONVENTIONS, parse_modalities

VERBS = {
    "demo": "phantom, teacher, baseline, student, one table",
    "teacher": "train and score the multi-modal teacher",
    "baseline": "train and score the mono-modal baseline",
    "student": "train and score the mono-modal student, and its teacher if there is none",
    "study": "train METHODS on MODALITIES, folds and SEEDS with their teachers, in one table",
    "evaluate": "score finished runs under OUT that have no scores yet, or RUN",
    "compare": "print teacher, baseline and students side by side",
    "report": "compare every method with its baseline: OUT/report with tables and figures",
    "choose": "rank METHODS on the validation parts of their runs; no test case is read",
    "pack": "write the small files of the scored runs under OUT into the archive PACK",
    "unpack": "restore the runs of PACK under OUT",
    "predict": "segment INPUT with the network of RUN",
    "mlflow": "serve the runs under OUT on 127.0.0.1:PORT",
    "phantom": "write the phantom data set",
    "verify-bundles": "run MONAI's own checks on both bundles, offline",
    "bench": "measure what a step, a case, a cache and a prediction cost (from a checkout)",
}
"""Verb -> what it does."""

TRAINED = ("demo", "teacher", "baseline", "student", "study")
ONE_RUN = ("demo", "teacher", "baseline", "student")
_SETTING = re.compile(r"(?:^|\s+)(?=\+?[A-Za-z_][\w#:]*=(?!=))")


@dataclass(frozen=True)
class Variable:
    """A variable of the command line.

    Attributes:
        name: in upper case.
        verbs: that take it.
        help: what it says, a sentence without its default.
        default: as it would be typed; empty where the bundle or the verb decides.
        example: as it would be typed.
        read: its typed value of a text; raises UserError.
        target: the configuration id that it overrides, if it is one.
    """

    name: str
    verbs: Sequence[str]
    help: str
    default: str = ""
    example: str = ""
    read: Callable[[str, str], Any] = lambda name, text: text
    target: str = ""


def nearest(name: str, known: Sequence[str]) -> str:
    """ "; did you mean ...?" where one of the known names is near, else nothing."""
    close = get_close_matches(name.lower(), [other.lower() for other in known], n=1, cutoff=0.6)
    return f"; did you mean {next(other for other in known if other.lower() == close[0])}?" if close else ""


def _path(name: str, text: str) -> Path:
    """As it was typed, `~` apart, and absolute: a run's configuration is read again from other folders."""
    return Path(os.path.expanduser(text)).absolute()


def _integer(least: int) -> Callable[[str, str], int]:
    def read(name: str, text: str) -> int:
        # YAML would read 010 as 8
        if not re.fullmatch(r"0|[1-9]\d*", text) or int(text) < least:
            raise UserError(
                f"{name} must be a whole number, at least {least}; got {text!r}. Correct it, or leave it out."
            )
        return int(text)

    return read


def choice(name: str, text: str, choices: Sequence[str]) -> str:
    """The text, if it is one of the choices.

    Raises:
        UserError: it is none; the nearest one is named.
    """
    if text not in choices:
        raise UserError(f"{name} must be one of {', '.join(choices)}; got {text!r}{nearest(text, choices)}")
    return text


def _choice(*choices: str) -> Callable[[str, str], str]:
    return lambda name, text: choice(name, text, choices)


def _fold(name: str, text: str) -> int | str:
    return text if text == "all" else _integer(0)(name, text)


def _flag(name: str, text: str) -> bool:
    return choice(name, text.lower(), ("0", "1", "false", "true")) in ("1", "true")


def _modality(name: str, text: str) -> str:
    return "-".join(parse_modalities(text))


def _words(name: str, text: str) -> tuple[str, ...]:
    words = tuple(word.strip() for word in text.split(",") if word.strip())
    if len(set(words)) != len(words):
        raise UserError(f"{name} names each entry once; got {text!r}. Remove the repetition.")
    return words


def _list(read: Callable[[str, str], Any]) -> Callable[[str, str], tuple[Any, ...]]:
    return lambda name, text: tuple(read(name, word) for word in _words(name, text))


def _number_or(word: str, least: int) -> Callable[[str, str], int | str]:
    return lambda name, text: text if text == word else _integer(least)(name, text)


def _path_or(word: str) -> Callable[[str, str], Path | str]:
    return lambda name, text: text if text == word else _path(name, text)


def _paths(name: str, text: str) -> tuple[Path, ...]:
    return tuple(_path(name, word) for word in _words(name, text))


def _settings(name: str, text: str) -> Mapping[str, str]:
    """``id=value`` entries with blanks between; a value in brackets or quotes keeps its blanks."""
    entries: list[str] = []
    for part in filter(None, _SETTING.split(text.strip())):
        if entries and not _closed(entries[-1]):
            entries[-1] += f" {part}"
        else:
            entries.append(part)
    settings = {}
    for entry in entries:
        target, equals, value = entry.partition("=")
        if not equals or not target.strip():
            raise UserError(f"{name} takes id=value of the configuration; got {entry!r}. Write it like width=12.")
        settings[target.strip()] = value.strip()
    return settings


def _closed(text: str) -> bool:
    opened = sum(text.count(sign) for sign in "[{(") - sum(text.count(sign) for sign in "]})")
    return opened <= 0 and text.count('"') % 2 == 0 and text.count("'") % 2 == 0


_STUDENTS = ("demo", "student")
_KNOW_TEACHER = ("demo", "teacher", "student", "study")
# fmt: off
TABLE = (
    Variable("DATA", (*TRAINED, "bench"),
             "folder of subjects, or a datalist JSON; without it the phantom",
             "", "../shared/brats/2mm", _path, "dataset_dir"),
    Variable("DATA", ("evaluate",),
             "where the data of the runs lie now, if they were moved", "", "../shared/brats/2mm", _path),
    Variable("LABELS", TRAINED,
             "what label values mean; auto: it follows from the layout",
             "auto", "brats2018", _choice("auto", *LABEL_CONVENTIONS), "labels"),
    Variable("LABELS", ("predict",),
             "values of the written label map", "brats2023", "brats2018", _choice(*LABEL_CONVENTIONS)),
    Variable("MODALITY", ("demo", "baseline", "student"),
             "what the student reads: a sequence, or several joined by '-'", "t1ce", "t1-t2", _modality, "modality"),
    Variable("MODALITY", ("compare",), "show what reads this alone", "", "flair", _modality),
    Variable("MODALITIES", ("study",), "what students read", "t1,t1ce,t2,flair", "t1ce,t1-t2", _list(_modality)),
    Variable("TEACHER_MODALITIES", _KNOW_TEACHER,
             "what the teacher reads", "t1-t1ce-t2-flair", "t1-t1ce-flair", _modality),
    Variable("METHOD", _STUDENTS, "distillation method, or a YAML of your own", "kdnet", "softlabels"),
    Variable("METHODS", ("study",), "methods, the baseline among them", "baseline,kdnet", "baseline,my.yaml", _words),
    Variable("METHODS", ("choose",), "rank these alone", "", "baseline,kdnet", _words),
    Variable("NETWORK", TRAINED, "network of all, or a YAML of your own; KD-Net's U-Net unless named", "", "unet"),
    Variable("TEACHER_NETWORK", _KNOW_TEACHER, "network of the teacher alone", "", "segresnet"),
    Variable("RECIPE", TRAINED,
             "lengths, sizes and schedule: quick, study or paper, or a YAML of your own", "quick", "study"),
    Variable("FOLD", ONE_RUN, "test fold; all trains on every subject, for deployment", "0", "all", _fold, "fold"),
    Variable("FOLD", ("study",), "test folds, all of FOLDS unless named", "", "0,1", _list(_integer(0))),
    Variable("FOLDS", TRAINED, "number of folds", "3", "5", _integer(2), "folds"),
    Variable("SPLIT", TRAINED, "split.json of an earlier run", "", "runs/RUN/split.json", _path, "split_file"),
    Variable("SEED", ONE_RUN, "of weights, order and augmentation", "0", "7", _integer(0), "seed"),
    Variable("SEED", ("phantom",), "of the subjects", "0", "7", _integer(0)),
    Variable("SEEDS", ("study",), "of weights, order and augmentation", "0", "1,2,3", _list(_integer(0))),
    Variable("EPOCHS", TRAINED, "epochs, in place of the recipe's", "", "20", _integer(1), "epochs"),
    Variable("N_SUBJECTS", ONE_RUN,
             "training subjects, a nested subset; all unless named", "", "6", _integer(1), "n_subjects"),
    Variable("N_SUBJECTS", ("study",),
             "numbers of training subjects, nested subsets", "all", "4,8,all", _list(_number_or("all", 1))),
    Variable("TEACHER_N_SUBJECTS", ("study",),
             "same trains teachers on their students' subjects", "all", "same", _choice("all", "same")),
    Variable("DEVICE", (*TRAINED, "evaluate", "predict", "bench"),
             "where networks run; a GPU where there is one", "", "cpu", target="device"),
    Variable("GPUS", TRAINED, "GPUs of one training, a process each (torchrun)", "1", "2", _integer(1)),
    Variable("CACHE", ONE_RUN,
             "where prepared images are kept; disk: one cache for all runs under OUT",
             "memory", "disk", _choice("memory", "disk"), "cache"),
    Variable("CACHE", ("study",),
             "where prepared images are kept", "disk", "memory", _choice("memory", "disk"), "cache"),
    Variable("OUT", (*TRAINED, "evaluate", "compare", "report", "choose", "pack", "unpack", "mlflow"),
             "folder of the runs", "runs", "runs/study", _path, "output_dir"),
    Variable("OUT", ("bench",), "folder of bench.json", "runs", "runs/bench", _path),
    Variable("FORCE", (*ONE_RUN, "evaluate"), "1 does again what was named and is done", "0", "1", _flag, "force"),
    Variable("TEACHER", ("student",),
             "run folder of a finished teacher; several joined by ',' teach with their mean",
             "", "runs/teacher-fold0-KEY", _paths),
    Variable("TEACHERS", ("demo", "teacher", "student", "study"),
             "crossfit: each subject is taught by a teacher that has not seen it",
             "single", "crossfit", _choice("single", "crossfit"), "teachers"),
    Variable("UNLABELLED", ("demo", "student", "study"),
             "folder of subjects without references, which the teacher labels; rest: what N_SUBJECTS leaves out",
             "", "rest", _path_or("rest"), "unlabelled"),
    Variable("INIT", ("demo", "student", "study"),
             "teacher: the student starts from the teacher's weights",
             "random", "teacher", _choice("random", "teacher"), "init"),
    Variable("SET", TRAINED,
             "id=value of the configuration, several with a blank between",
             "", "width=12 roi_size=[96, 96, 96]", _settings),
    Variable("TEACHER_SET", _KNOW_TEACHER, "the same for the teacher alone, over SET", "", "width=16", _settings),
    Variable("NOTE", ONE_RUN, "file that the path of the run folder is written to", "", "last.txt", _path),
    Variable("TRACKING", TRAINED,
             "required: a training whose MLflow store does not answer stops at its start",
             "optional", "required", _choice("optional", "required"), "mlflow_store"),
    Variable("JOBS", ("study",), "trainings at once, which share the processor", "1", "2", _integer(1)),
    Variable("PROFILE", ("study",),
             "Snakemake profile: Slurm, Kubernetes and other executors", "", "profiles/slurm", _path),
    Variable("RUN", ("predict", "evaluate"),
             "run folder of the student or teacher", "", "runs/kdnet_t1ce-fold0-KEY", _path),
    Variable("BUNDLE", ("predict",), "exported bundle, in place of RUN", "", "bundle", _path),
    Variable("INPUT", ("predict",), "an image, or a folder of images or of subjects", "", "t1ce.nii.gz", _path),
    Variable("PREDICTIONS", ("predict",), "folder of the written files", "predictions", "out", _path),
    Variable("PROBABILITIES", ("predict",), "1 writes the probabilities of TC, WT and ET", "0", "1", _flag),
    Variable("CHECK_SKULL_STRIPPED", ("predict",), "0 leaves the check of the brain's volume out", "1", "0", _flag),
    Variable("RUNTIME", ("predict",),
             "auto: OpenVINO on a CPU where it is installed", "auto", "torch", _choice("auto", "openvino", "torch")),
    Variable("README", ("report",), "Markdown file whose results are written anew", "", "docs/results.md", _path),
    Variable("PACK", ("pack", "unpack"), "archive of runs", "", "study.tar.xz", _path),
    Variable("PORT", ("mlflow",), "port on 127.0.0.1", "5000", "5001", _integer(1)),
    Variable("SUBJECTS", ("phantom", *TRAINED), "subjects of the phantom", "30", "12", _integer(1)),
    Variable("SPACING_MM", ("phantom", *TRAINED),
             "voxel side of the phantom: 2, or 1 with RECIPE=paper", "", "1", _choice("1", "2")),
    Variable("PHANTOM", ("phantom", *TRAINED),
             "folder of the phantom; data/phantom-2mm unless named", "", "data/mine", _path),
    Variable("ONLY", ("bench",), "these questions alone", "", "item_rate,prediction", _words),
    Variable("SIZE", ("bench",), "tiny: does it work at all", "full", "tiny", _choice("full", "tiny")),
)
# fmt: on
"""A variable of several meanings stands once for each; a verb takes at most one of a name."""

OF_MAKE = (
    "PYTHON", "VENV", "TORCH_INDEX_URL", "TEST_JOBS",
    "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "THP_MEM_ALLOC_ENABLE", "GLIBC_TUNABLES", "MLFLOW_DISABLE_TELEMETRY",
    "NO_MKDOCS_2_WARNING",
)  # fmt: skip
"""What the Makefile itself reads or exports; the verbs pass over it."""


def of_verb(verb: str) -> dict[str, Variable]:
    """Name -> variable of a verb, in the table's order."""
    return {variable.name: variable for variable in TABLE if verb in variable.verbs}


@dataclass(frozen=True)
class Command:
    """A verb with its variables.

    Attributes:
        verb: a key of `VERBS`.
        typed: name -> text of what was typed and is not empty.
        values: name -> typed value of every variable of the verb; None where nothing was typed and there is no default.
    """

    verb: str
    typed: Mapping[str, str]
    values: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.values[name]


def read_command(arguments: Sequence[str]) -> Command:
    """The command that these words make: ``VERB NAME=value ...``.

    An empty value counts as not typed, as an unset variable of make does. Nothing is read from the environment.

    Raises:
        UserError: an unknown verb or name, a name of another verb, a name twice, or a value that its variable does not
            take. It names the nearest known one.
    """
    verb, *words = arguments
    if verb not in VERBS:
        raise UserError(f"A command is VERB NAME=value ...; {verb!r} is no verb{nearest(verb, list(VERBS))} {_SEE}")
    variables = of_verb(verb)
    typed: dict[str, str] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise UserError(f"A variable is NAME=value; got {word!r}. Write it like {next(iter(variables))}=... {_SEE}")
        if name in OF_MAKE:
            continue
        if name not in variables:
            raise UserError(_unknown(verb, name, list(variables)))
        if name in typed:
            raise UserError(f"{name} stands twice: {typed[name]!r} and {text!r}. Leave one of them out.")
        if text.strip():
            typed[name] = text.strip()
    values = {
        name: variable.read(name, text) if (text := typed.get(name, variable.default)) else None
        for name, variable in variables.items()
    }
    return Command(verb, MappingProxyType(typed), MappingProxyType(values))


_SEE = "See: python -m kd_monai help"


def _unknown(verb: str, name: str, known: list[str]) -> str:
    others = [other for other in VERBS if name in of_verb(other)]
    if others:
        return f"{verb} does not take {name}, a variable of {', '.join(others)}: it would change nothing. Leave it out."
    return f"{name} is no variable of {verb}{nearest(name, known) or '; it takes ' + ', '.join(known) + '.'} {_SEE}"


def command_line(verb: str, typed: Mapping[str, str]) -> list[str]:
    """The words of a command, as `read_command` takes them."""
    return [verb, *(f"{name}={text}" for name, text in typed.items() if text)]


def help_text() -> str:
    """Verbs and variables, as `make` prints them."""
    lines = [f"  {verb:15} {text}" for verb, text in VERBS.items()]
    lines += ["", "Variables stand behind the verb: make student MODALITY=flair FOLD=1 (default in brackets)"]
    for variable in TABLE:
        verbs = "all that train" if tuple(variable.verbs) == TRAINED else ", ".join(variable.verbs)
        default = f" ({variable.default})" if variable.default else ""
        lines.append(f"  {variable.name:20} {verbs}: {variable.help}{default}")
    return "\n".join(lines)
