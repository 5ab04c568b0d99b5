"""Runs read back from their folders: what was trained and scored, how it came along, and what it took."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, Self, TypeVar

import pandas as pd
import yaml

from kd_monai.errors import UserError
from kd_monai.metrics import read_cases
from kd_monai.phases import WALL
from kd_monai.runs.identity import identity, run_key
from kd_monai.tracking import read_durations
from kd_monai.tracking.journal import Journal, read_journal

ROLES = ("teacher", "baseline", "student", "fixed_mask")
NEEDED = ("role", "method", "modality", "fold", "seed", "data_digest", "split_digest", "labels", "recipe")
UNSCORED = {
    "FINISHED": "evaluate it (make evaluate OUT={out})",
    "FAILED": "its training failed; the same command tries again and says why, and nothing else needs the folder",
}
"""What to do with a run that has no scores, by its status; for any other status see `UNFINISHED`."""
UNFINISHED = "its training is not finished, and the same command goes on with it"
SECONDS, MEMORY, MINUTES = "seconds_per_step", "peak_memory_mib", "minutes"
COSTS = (SECONDS, MEMORY, MINUTES)
_SAME_TRAINING = ("data_digest", "split_digest", "labels", "precision", "unlabelled", "teacher_key")
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
            UserError: a file of it cannot be understood.
        """
        return cls(folder, *_read_training(folder))

    @property
    def teacher_keys(self) -> set[str]:
        """Run keys of those that taught it."""
        return set((self.record.get("teacher_key") or "").split(",")) - {""}

    @cached_property
    def identity(self) -> dict[str, Any]:
        """The part of its configuration that says what it computed."""
        return identity(self.config)

    @cached_property
    def began(self) -> float | None:
        """When its training began, in milliseconds since 1970; None where no journal tells."""
        line, _ = next(read_journal(self.folder / "journal.jsonl"), ({}, 0))
        return line.get("time")

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
            UserError: ``run.json``, ``config.yaml`` or ``cases.csv`` cannot be understood.
        """
        return cls(folder, *_read_training(folder), read_cases(folder / "cases.csv"))


def _read_training(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    file, config_file = folder / "run.json", folder / "config.yaml"
    try:
        record = json.loads(file.read_text())
        config = yaml.load(config_file.read_text(), _YAML) if config_file.is_file() else {}
    except (ValueError, yaml.YAMLError) as error:
        raise UserError(
            f"A run folder holds run.json (JSON) and config.yaml (YAML); one in {folder} cannot be read: {error}. "
            "Remove the folder or train the run again with FORCE=1."
        ) from error
    missing = [key for key in NEEDED if not isinstance(record, dict) or key not in record]
    if missing:
        raise UserError(f"{file} must say {', '.join(NEEDED)}; it lacks {', '.join(missing)}. Train the run again.")
    if record["role"] not in ROLES:
        raise UserError(f"`role` in {file} must be one of {', '.join(ROLES)}; got {record['role']!r}. Correct it.")
    return record, config or {}


def run_folders(out: Path) -> list[Path]:
    """The run folders of an output folder, by name; what a forced run put aside is none."""
    return sorted(file.parent for file in out.glob("*/run.json") if not file.parent.name.startswith("."))


def records_by_key(out: Path) -> dict[str, dict[str, Any]]:
    """``run.json`` of every run of an output folder by its run key, those of inner folds and without scores too."""
    records = [_record(folder) for folder in run_folders(out)]
    return {record["run_key"]: record for record in records if "run_key" in record}


def _record(folder: Path) -> dict[str, Any]:
    try:
        record = json.loads((folder / "run.json").read_text())
    except ValueError:
        return {}  # `TrainedRun.read` says what is wrong
    return record if isinstance(record, dict) else {}


def find_runs(out: Path, runs: Sequence[Path] | None = None) -> tuple[list[EvaluatedRun], list[str]]:
    """Evaluated runs of an output folder, sorted by name; teachers of inner folds are nobody's arm and left out.

    Args:
        out: folder of run folders.
        runs: these run folders alone.

    Returns:
        The runs, and a remark on each run that has no scores.

    Raises:
        UserError: no run has been evaluated, or a folder that was named is no run's.
    """
    folders = sorted(runs) if runs is not None else run_folders(out)
    strangers = [str(folder) for folder in folders if not (folder / "run.json").is_file()]
    if strangers:
        raise UserError(
            f"A run folder holds run.json; {', '.join(strangers)} does not. Name folders that training wrote."
        )
    evaluated, remarks = [], []
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
            evaluated.append(run)
        else:
            remarks.append(f"{folder.name} has no test cases (FOLD=all?) and is left out.")
    if not evaluated:
        raise UserError(
            f"A comparison needs evaluated runs, folders with run.json and cases.csv; found none in {out}. "
            + " ".join(remarks or ["Train and evaluate first (make student), or name another OUT."])
        )
    return evaluated, remarks


Run = TypeVar("Run", bound=TrainedRun)


def without_superseded(runs: Sequence[Run]) -> tuple[list[Run], list[str]]:
    """Of students that differ in the weights of one and the same teacher alone, the last one; all other runs.

    A teacher that is trained anew keeps its folder and key. Its student then learns from other weights and gets a new
    key, and the old student stays beside it.

    Returns:
        The runs, and a remark on each that is left out. Students whose journal does not say when they began all stay.
    """
    alike: dict[str, list[Run]] = {}
    for run in runs:
        if run.record["role"] == "student" and run.teacher_keys and run.began is not None:
            facts = {name: str(run.get(name)) for name in _SAME_TRAINING}
            facts |= {name: str(run.record.get(name) or 1) for name in ("processes", "computes")}
            alike.setdefault(run_key(run.config, **facts), []).append(run)
    latest = {id(run): max(same, key=lambda run: run.began or 0) for same in alike.values() for run in same}
    remarks = [
        f"{run.folder.name} is left out: {latest[id(run)].folder.name} is the same training, later, with other weights "
        "of the same teacher."
        for run in runs
        if latest.get(id(run), run) is not run
    ]
    return [run for run in runs if latest.get(id(run), run) is run], remarks


def _metrics(folder: Path) -> Iterator[tuple[int, dict[str, float]]]:
    """Step and values of each line of a run's journal that tells metrics of its own."""
    for line, _ in read_journal(folder / "journal.jsonl"):
        if line["op"] == "metrics" and not line.get("parent"):
            yield line["step"], line["values"]


def run_curve(folder: Path, key: str = "val/dice_mean") -> pd.Series:
    """A metric of the run in this folder by epoch, in order; empty where its journal does not tell of it."""
    values = {step: values[key] for step, values in _metrics(folder) if key in values}
    return pd.Series(values, dtype=float).sort_index()


class RunCost(NamedTuple):
    """Seconds a step, the median over epochs; the most memory that an epoch's steps needed; minutes in all; and where.

    The minutes are those of all its launches, from data check to scores and bundle.
    """

    seconds_per_step: float
    peak_memory_mib: float
    minutes: float
    hardware: str


def run_cost(folder: Path) -> RunCost | None:
    """Cost of the run in this folder; None without a journal. What its training did not note is NaN."""
    if not (folder / "journal.jsonl").is_file():
        return None
    told: dict[str, list[float]] = {}
    for _, values in _metrics(folder):
        for key, value in values.items():
            told.setdefault(key, []).append(value)
    seconds, memory = told.get("train/seconds_per_step"), told.get("cost/peak_memory_mib")
    return RunCost(
        median(seconds) if seconds else float("nan"),
        max(memory, default=float("nan")) if memory else float("nan"),
        read_durations(folder).get(WALL, float("nan")) / 60,
        _hardware(Journal(folder / "journal.jsonl").params),
    )


def hardware_of(costs: Iterable[RunCost | None]) -> str:
    """Machines of several runs, each once."""
    names = sorted({cost.hardware for cost in costs if cost is not None and cost.hardware})
    return "; ".join(names) or "hardware not recorded"


def _hardware(params: dict[str, str]) -> str:
    if params.get("device", "").startswith("cuda"):
        return params.get("cuda", "a GPU")
    threads = params.get("torch_threads")
    processor = params.get("cpu") or (f"a CPU of {params['cpu_count']} cores" if "cpu_count" in params else "")
    return f"{processor}, {threads} thread{'s' * (threads != '1')} a run" if processor and threads else processor
