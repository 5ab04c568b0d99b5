"""Teacher, baseline and student of a set of variables."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kd_monai.study.compare import compare
from kd_monai.study.export import export_bundle
from kd_monai.study.launch import STUDENT, TEACHER, evaluate, overlay, train
from kd_monai.study.methods import check_methods
from kd_monai.study.run_folder import RunFolder
from kd_monai.study.variables import overrides_of

logger = logging.getLogger(__name__)

SAME = ("data_digest", "split_digest", "labels", "recipe", "fold", "seed", "n_train")


def train_teacher(given: argparse.Namespace) -> RunFolder:
    """The finished teacher of these variables; trained if it is not there."""
    return train(
        TEACHER,
        [overlay(TEACHER, "recipe", given.recipe)],
        {**overrides_of(given), "modality": given.teacher_modalities},
    )


def train_baseline(given: argparse.Namespace) -> RunFolder:
    """The finished mono-modal baseline of these variables; trained if it is not there."""
    return _train_student(given, "baseline", {})


def train_student(given: argparse.Namespace) -> RunFolder:
    """The finished student of these variables; it and, without TEACHER, its teacher are trained if they are not there."""
    if given.method == "baseline":
        return train_baseline(given)
    folder = given.teacher or train_teacher(given).path
    return _train_student(given, given.method, {"teacher": str(folder)})


def _train_student(given: argparse.Namespace, methods: str, more: dict[str, Any]) -> RunFolder:
    files = [overlay(STUDENT, "method", name) for name in methods.split(",")]
    check_methods(STUDENT / "configs" / "train.yaml", files)
    return train(
        STUDENT,
        [overlay(STUDENT, "recipe", given.recipe), *files],
        {**overrides_of(given), "modality": given.modality, **more},
    )


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
    """The table of these runs; the baseline of the same data, split, modality, seed and recipe joins them where it is scored."""
    out = records[0].path.parent
    wanted = {name: records[-1].record[name] for name in SAME}
    others = [
        file.parent
        for file in out.glob("baseline_*/run.json")
        if (file.parent / "cases.csv").is_file()
        and (record := json.loads(file.read_text()))["modality"] == records[-1].record["modality"]
        and {name: record.get(name) for name in SAME} == wanted
    ]
    paths = [record.path for record in records if (record.path / "cases.csv").is_file()]
    return compare(out, runs=list(dict.fromkeys([*paths, *others]))).text if paths else ""
