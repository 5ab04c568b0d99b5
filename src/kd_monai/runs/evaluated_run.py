"""Runs as their folders tell of them: what was trained, and what has been evaluated."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pandas as pd
import yaml

from kd_monai.metrics import read_cases

logger = logging.getLogger(__name__)

ROLES = ("teacher", "baseline", "student", "fixed_mask")
UNSCORED = {
    "FINISHED": "evaluate it (make evaluate OUT={out})",
    "FAILED": "its training failed; the same command tries again and says why, and nothing else needs the folder",
}
"""What is to be done with a run that has no scores, by its status; one that is stopped or running is `UNFINISHED`."""
UNFINISHED = "its training is not finished, and the same command goes on with it"
NEEDED = ("role", "method", "modality", "fold", "seed", "data_digest", "split_digest", "labels", "recipe")
# libyaml, where PyYAML was built with it: a report reads hundreds of these, and Python's own takes ten times as long
_YAML = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class TrainedRun:
    """A run as its folder tells of its training; nothing here has read a test case.

    Attributes:
        folder: the run's folder.
        record: its ``run.json``.
        config: its ``config.yaml``, empty where it has none.
    """

    folder: Path
    record: dict[str, Any]
    config: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The run in this folder.

        Raises:
            ValueError: a file of it cannot be understood.
        """
        return cls(folder, *_read_training(folder))

    @property
    def teacher_keys(self) -> set[str]:
        """Run keys of those that taught it."""
        return set((self.record.get("teacher_key") or "").split(",")) - {""}

    def get(self, key: str) -> Any:
        """What the record says, else the configuration, else None."""
        return self.record.get(key, self.config.get(key))


@dataclass(frozen=True)
class EvaluatedRun(TrainedRun):
    """A run and the scores of its test cases.

    Attributes:
        cases: its ``cases.csv``.
    """

    cases: pd.DataFrame

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The run in this folder.

        Raises:
            ValueError: ``run.json``, ``config.yaml`` or ``cases.csv`` cannot be understood.
        """
        return cls(folder, *_read_training(folder), read_cases(folder / "cases.csv"))


def _read_training(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    file, config_file = folder / "run.json", folder / "config.yaml"
    try:
        record = json.loads(file.read_text())
        config = yaml.load(config_file.read_text(), _YAML) if config_file.is_file() else {}
    except (ValueError, yaml.YAMLError) as error:
        raise ValueError(
            f"A run folder holds run.json (JSON) and config.yaml (YAML); one in {folder} cannot be read: {error}. "
            "Remove the folder or train the run again with FORCE=1."
        ) from error
    missing = [key for key in NEEDED if not isinstance(record, dict) or key not in record]
    if missing:
        raise ValueError(f"{file} must say {', '.join(NEEDED)}; it lacks {', '.join(missing)}. Train the run again.")
    if record["role"] not in ROLES:
        raise ValueError(f"`role` in {file} must be one of {', '.join(ROLES)}; got {record['role']!r}. Correct it.")
    return record, config or {}


def _record(folder: Path) -> dict[str, Any]:
    try:
        record = json.loads((folder / "run.json").read_text())
    except ValueError:
        return {}  # `EvaluatedRun.read` says what is wrong
    return record if isinstance(record, dict) else {}


def records_by_key(out: Path) -> dict[str, dict[str, Any]]:
    """``run.json`` of every run of an output folder by its run key, those of inner folds and without scores too."""
    records = [_record(file.parent) for file in sorted(out.glob("*/run.json"))]
    return {record["run_key"]: record for record in records if "run_key" in record}


def find_runs(out: Path, runs: Sequence[Path] | None = None) -> tuple[list[EvaluatedRun], list[str]]:
    """Evaluated runs of an output folder, sorted by name; teachers of inner folds are nobody's arm and left out.

    Args:
        out: folder of run folders.
        runs: these run folders alone.

    Returns:
        The runs, and a remark on each run that has no scores.

    Raises:
        ValueError: no run has been evaluated, or a folder that was named is no run's.
    """
    folders = sorted(runs if runs is not None else (file.parent for file in out.glob("*/run.json")))
    strangers = [str(folder) for folder in folders if not (folder / "run.json").is_file()]
    if strangers:
        raise ValueError(
            f"A run folder holds run.json; {', '.join(strangers)} does not. Name folders that training wrote."
        )
    found, remarks = [], []
    for folder in folders:
        record = _record(folder)
        if record.get("inner_fold") is not None:
            continue
        if not (folder / "cases.csv").is_file():
            remedy = UNSCORED.get(str(record.get("status")), UNFINISHED).format(out=out)
            remarks.append(f"{folder.name} has no cases.csv and is left out: {remedy}.")
            continue
        run = EvaluatedRun.read(folder)
        if len(run.cases):
            found.append(run)
        else:
            remarks.append(f"{folder.name} has no test cases (FOLD=all?) and is left out.")
    if not found:
        raise ValueError(
            f"A comparison needs evaluated runs, folders with run.json and cases.csv; found none in {out}. "
            + " ".join(remarks or ["Train and evaluate first (make student), or name another OUT."])
        )
    return found, remarks
