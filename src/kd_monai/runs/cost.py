"""What a training took, as its journal and its durations tell."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import NamedTuple

from kd_monai.phases import WALL
from kd_monai.tracking import read_durations
from kd_monai.tracking.journal import Journal

SECONDS, MEMORY, MINUTES = "seconds_per_step", "peak_memory_mib", "minutes"
COSTS = (SECONDS, MEMORY, MINUTES)


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
    file = folder / "journal.jsonl"
    if not file.is_file():
        return None
    told: dict[str, list[float]] = {}
    params: dict[str, str] = {}
    for line, _ in Journal(file).read():
        if line["op"] == "metrics" and not line.get("parent"):
            for key, value in line["values"].items():
                told.setdefault(key, []).append(value)
        elif line["op"] == "params":
            params |= line["values"]
    seconds, memory = told.get("train/seconds_per_step"), told.get("cost/peak_memory_mib")
    return RunCost(
        median(seconds) if seconds else float("nan"),
        max(memory, default=float("nan")) if memory else float("nan"),
        read_durations(folder).get(WALL, float("nan")) / 60,
        _hardware(params),
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
