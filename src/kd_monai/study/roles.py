"""Teacher, baseline and student of a set of variables."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import yaml
from monai.bundle import ConfigParser

from kd_monai.study.compare import compare
from kd_monai.study.config import NOT_IDENTITY
from kd_monai.study.export import export_bundle
from kd_monai.study.launch import STUDENT, TEACHER, evaluate, overlay, train
from kd_monai.study.methods import check_methods
from kd_monai.study.run_folder import RunFolder
from kd_monai.study.settings import fitting
from kd_monai.study.variables import overrides_of

logger = logging.getLogger(__name__)

SAME = ("data_digest", "split_digest", "labels", "recipe", "fold", "seed", "n_train", "modality")


def train_teacher(given: argparse.Namespace) -> RunFolder:
    """The finished teacher of these variables; trained if it is not there."""
    return _train(TEACHER, _overlays(TEACHER, given), given, {"modality": given.teacher_modalities})


def train_baseline(given: argparse.Namespace) -> RunFolder:
    """The finished mono-modal baseline of these variables; trained if it is not there."""
    files = _overlays(STUDENT, given, "baseline")
    return _train(STUDENT, files, given, {"modality": given.modality}, ConfigParser.load_config_file(files[-1]).keys())


def train_student(given: argparse.Namespace) -> RunFolder:
    """The finished student of these variables; trained if it is not there, its teacher (without TEACHER) too."""
    if given.method == "baseline":
        return train_baseline(given)
    folder = given.teacher or train_teacher(given).path
    files = _overlays(STUDENT, given, given.method)
    # of stacked files each names itself, and the last would win
    method = "-".join(Path(name).stem for name in given.method.split(","))
    return _train(STUDENT, files, given, {"modality": given.modality, "teacher": str(folder), "method": method})


def _train(
    bundle: Path, overlays: Sequence[Path], given: argparse.Namespace, more: dict[str, Any], fixed: Collection[str] = ()
) -> RunFolder:
    # every run that the command may train: an unknown METHOD or --set is refused before the teacher is trained
    stacks = [(TEACHER, _overlays(TEACHER, given)), (STUDENT, _overlays(STUDENT, given, given.method))]
    others = [[other / "configs" / "train.yaml", *files] for other, files in stacks]
    overrides = fitting(overrides_of(given), [bundle / "configs" / "train.yaml", *overlays], others, fixed)
    return train(bundle, overlays, {**overrides, **more})


def _overlays(bundle: Path, given: argparse.Namespace, methods: str = "") -> list[Path]:
    """The overlays of a run: recipe and network, which teacher, baseline and student share, and a student's methods."""
    network = [overlay(bundle, "network", given.network)] if given.network else []
    files = [overlay(bundle, "method", name) for name in methods.split(",")] if methods else []
    check_methods(bundle / "configs" / "train.yaml", files)
    return [overlay(bundle, "recipe", given.recipe), *network, *files]


def evaluate_run(record: RunFolder, given: argparse.Namespace) -> Path | None:
    """Per-case scores of a finished run on its test fold, unless they are there; none for a run on all subjects."""
    cases = record.path / "cases.csv"
    if not record.record["n_test"]:
        logger.info("%s was trained on every subject (FOLD=all): there is no test fold to score.", record.path)
        return None
    if cases.is_file() and not overrides_of(given).get("force"):
        logger.info("Scored already: %s", cases)
        return cases
    template = TEACHER if record.record["role"] == "teacher" else STUDENT
    keep = {name: value for name, value in overrides_of(given).items() if name in ("dataset_dir", "device")}
    evaluate(template, record.path, keep)
    export_bundle(record.path, template, record.path / "bundle")
    return cases


def side_by_side(records: Sequence[RunFolder]) -> str:
    """The table of these runs, with the scored baseline of the last one's data, split, modality, seed and settings."""
    out = records[0].path.parent
    others = [folder for folder in sorted(out.glob("baseline_*/")) if _is_baseline_of(folder, records[-1])]
    paths = [record.path for record in records if (record.path / "cases.csv").is_file()]
    return compare_and_tell(out, list(dict.fromkeys([*paths, *others]))) if paths else ""


def _is_baseline_of(folder: Path, run: RunFolder) -> bool:
    """Whether a folder is a scored baseline that differs from a run in nothing but what makes it a baseline."""
    if not (folder / "cases.csv").is_file():
        return False
    record = json.loads((folder / "run.json").read_text())
    if any(record.get(name) != run.record[name] for name in SAME):
        return False
    makes_it = ConfigParser.load_config_file(overlay(STUDENT, "method", "baseline"))
    theirs = yaml.safe_load((folder / "config.yaml").read_text())
    names = (theirs.keys() & run.config.keys()) - makes_it.keys() - NOT_IDENTITY
    # a method may well add handlers or terms of the loss; numbers and network are the same
    settings = [name for name in names if name == "network_def" or not isinstance(theirs[name], dict)]
    return all(theirs[name] == run.config[name] for name in settings)


def compare_and_tell(out: Path, runs: Sequence[Path] | None = None) -> str:
    """The table of these runs, or of all under `out`; MLflow's parent runs are told the differences."""
    comparison = compare(out, runs=runs)
    comparison.publish()
    return comparison.text
