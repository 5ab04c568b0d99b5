"""Teacher, baseline and student of a set of variables."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from kd_monai.atomic import write_bytes
from kd_monai.config.config_files import ConfigFiles
from kd_monai.config.methods import check_heads, inner_folds, stack
from kd_monai.config.settings import fitting
from kd_monai.config.variables import defaults, overrides_of, settings_of
from kd_monai.runs.folder import RunFolder
from kd_monai.task import MODALITIES
from kd_monai.teachers.single import Teacher
from kd_monai.training.data_ahead import Asked, check_inner_folds, check_unlabelled
from kd_monai.training.launch import STUDENT, TEACHER, overlay, train, train_file
from kd_monai.training.networks_ahead import Configured, check_networks
from kd_monai.training.score import score

# of a command that trains the inner teachers of a finished one: where they are trained, and not what they learn
_PLACES = ("dataset_dir", "split_file", "output_dir", "cache", "device", "force")


def train_teacher(given: argparse.Namespace) -> RunFolder:
    """The finished teacher of these variables; trained if it is not there."""
    return _train(TEACHER, _overlays(TEACHER, given), given, {"modality": given.teacher_modalities})


def train_teachers(given: argparse.Namespace) -> list[RunFolder]:
    """The finished teacher of these variables and, with TEACHERS=crossfit, one for each inner fold behind it.

    What is not there is trained.
    """
    _check_data(given)
    whole = train_teacher(given)
    return [whole, *_train_inner_teachers(given, whole.path)]


def train_baseline(given: argparse.Namespace) -> RunFolder:
    """The finished mono-modal baseline of these variables; trained if it is not there."""
    files = _overlays(STUDENT, given, "baseline")
    return _train(STUDENT, files, given, {"modality": given.modality}, ConfigFiles.load_config_file(files[-1]).keys())


def train_student(given: argparse.Namespace) -> RunFolder:
    """The finished student of these variables; trained if it is not there, its teacher (without TEACHER) too.

    With TEACHERS=crossfit a TEACHER that is one folder is the teacher of all training subjects, and those of the inner
    folds are trained as it was; several folders are all that teach.
    """
    if given.method == "baseline":
        return train_baseline(given)
    check_student(given)
    folder = str(given.teacher or train_teacher(given).path)
    if "," not in folder:
        folder = ",".join([folder, *(str(run.path) for run in _train_inner_teachers(given, Path(folder)))])
    files = _overlays(STUDENT, given, given.method)
    # of stacked files each names itself, and the last would win
    method = "-".join(Path(name).stem for name in given.method.split(","))
    return _train(STUDENT, files, given, {"modality": given.modality, "teacher": folder, "method": method})


def check_student(given: argparse.Namespace) -> None:
    """Refuse what a student would be refused for, before a teacher is trained for it.

    Raises:
        ValueError, DataError: unlabelled subjects or inner folds do not go with the data, or networks, terms or start
            of teacher and student with each other; misspelt variables, where one of these is asked for.
    """
    if given.method == "baseline":
        return
    _check_data(given, student=True)
    # what the bundles say themselves goes together, and the check takes half a second
    own = (given.network, given.teacher_network, given.set, given.teacher_set, given.init)
    chosen = {name: getattr(given, name) for name in ("method", "recipe", "modality", "teacher_modalities")}
    if not given.teacher and (any(own) or chosen != defaults()):
        _check_settings(given)
        check_networks(*networks_of(given, given.method, given.modality))


def _check_data(given: argparse.Namespace, student: bool = False) -> None:
    """Refuse what the last run of a command would be refused for; misspelt variables first, for they cost least.

    A teacher that is named may have other modalities and subjects: it and those of its inner folds see for themselves.
    """
    overrides = overrides_of(given)
    asked = Asked.by(configuration_files(STUDENT, given, given.method), overrides)
    if asked.unlabelled is None and not asked.inner_folds:
        return  # each run looks at the rest itself, first of all
    _check_settings(given)
    if not given.teacher:
        of_teacher = overrides | settings_of(given.teacher_set)
        files = configuration_files(TEACHER, given)
        check_inner_folds(asked.inner_folds, files, of_teacher, given.teacher_modalities.split("-"))
    if student:
        more = [] if given.teacher else given.teacher_modalities.split("-")
        check_unlabelled(asked, overrides, sorted({*given.modality.split("-"), *more}))


def _check_settings(given: argparse.Namespace) -> None:
    for bundle, method in ((TEACHER, ""), (STUDENT, given.method)):
        _fitting(bundle, _overlays(bundle, given, method), given)


def networks_of(given: argparse.Namespace, methods: str, modality: str) -> tuple[Configured, Configured]:
    """Files and overrides of a teacher and of its student, as `check_networks` takes them."""
    overrides = overrides_of(given)
    of_teacher = {**overrides, **settings_of(given.teacher_set), "modality": given.teacher_modalities}
    student = configuration_files(STUDENT, given, methods)
    return (configuration_files(TEACHER, given), of_teacher), (student, {**overrides, "modality": modality})


def _train_inner_teachers(given: argparse.Namespace, whole: Path) -> list[RunFolder]:
    """Those that a cross-fitted student needs beside the teacher of all training subjects; nobody for another.

    They are that teacher but for the inner fold that each leaves out, by the ``config.yaml`` of its run: a student may
    have fewer subjects, another width or other variables than those it was trained with.
    """
    folds = inner_folds(configuration_files(STUDENT, given, given.method), overrides_of(given))
    overrides = _fitting(TEACHER, _overlays(TEACHER, given), given)
    if folds and given.teacher:
        whole = Teacher(given.teacher).folder  # what is no teacher is refused before others are trained
    here = ConfigFiles.load_config_files(configuration_files(TEACHER, given)) | overrides
    own = {name: here[name] for name in _PLACES}
    return [train(TEACHER, [whole / "config.yaml"], {**own, "inner_fold": f"{fold}/{folds}"}) for fold in range(folds)]


def _train(
    bundle: Path, overlays: Sequence[Path], given: argparse.Namespace, more: dict[str, Any], fixed: Collection[str] = ()
) -> RunFolder:
    overrides = _fitting(bundle, overlays, given, fixed)
    # a file of the user's names its runs, or they would be filed as quick
    named = {"recipe": Path(given.recipe).stem} if given.recipe.endswith((".yaml", ".yml")) else {}
    run = train(bundle, overlays, {**overrides, **named, **more})
    if given.note:
        write_bytes(given.note, f"{run.path}\n".encode())
    return run


def _fitting(
    bundle: Path, overlays: Sequence[Path], given: argparse.Namespace, fixed: Collection[str] = ()
) -> dict[str, Any]:
    """The overrides of a run; what no run of the command can be trained with is refused before any is."""
    # every run that the command may train: an unknown METHOD or --set is refused before the teacher is trained
    stacks = [(TEACHER, _overlays(TEACHER, given)), (STUDENT, _overlays(STUDENT, given, given.method))]
    others = [[other / "configs" / "train.yaml", *files] for other, files in stacks]
    wanted = overrides_of(given)
    overrides = fitting(wanted, [bundle / "configs" / "train.yaml", *overlays], others, fixed)
    check_heads(others[-1], wanted)
    of_teacher = fitting(settings_of(given.teacher_set), others[0])  # refused before anything is trained, too
    return overrides | of_teacher if bundle == TEACHER else overrides


def configuration_files(bundle: Path, given: argparse.Namespace, methods: str = "") -> list[Path]:
    """``train.yaml`` and the overlays behind it that a run of these variables reads.

    Raises:
        ValueError: there is no such recipe, network or method, or stacked methods do not go together.
    """
    return [train_file(bundle), *_overlays(bundle, given, methods)]


def _overlays(bundle: Path, given: argparse.Namespace, methods: str = "") -> list[Path]:
    """The overlays of a run: the recipe that all share, the network, a teacher's own where it has one, the methods."""
    name = (given.teacher_network if bundle == TEACHER else None) or given.network
    network = [overlay(bundle, "network", name)] if name else []
    files = [overlay(bundle, "method", name) for name in methods.split(",")] if methods else []
    return [overlay(bundle, "recipe", given.recipe), *network, *stack(train_file(bundle), files)]


def evaluate_run(record: RunFolder, given: argparse.Namespace) -> Path | None:
    """Per-case scores of a finished run on its test fold, and its bundle; see `score`."""
    overrides = overrides_of(given)
    keep = {name: value for name, value in overrides.items() if name in ("dataset_dir", "device")}
    return score(record.path, keep, bool(overrides.get("force")))


def predict_line(run_folder: Path, modality: str) -> str:
    """How to segment with a finished run, as its user types it."""
    image = f"{modality}.nii.gz" if modality in MODALITIES else "FOLDER"
    return f"Segment with it: make predict RUN={shlex.quote(str(run_folder))} INPUT={image}"
