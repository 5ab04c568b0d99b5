"""A row of the table that `make bench` prints: one question, two sides, their ratio."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import monai
import torch

import kd_monai


@dataclass(frozen=True)
class Side:
    """What one side cost: the median of its rounds, the smallest and the largest."""

    name: str
    unit: str
    median: float
    low: float
    high: float

    @classmethod
    def of(cls, name: str, unit: str, figures: Sequence[float]) -> Side:
        """Of the figures of all rounds."""
        return cls(name, unit, statistics.median(figures), min(figures), max(figures))


@dataclass(frozen=True)
class Reach:
    """What a ratio must reach: at least or at most a bound; ``None`` stands beside a figure that only informs."""

    kind: Literal["at least", "at most"]
    bound: float

    def reached(self, ratio: float) -> bool:
        """Whether the ratio is within the bound."""
        return ratio >= self.bound if self.kind == "at least" else ratio <= self.bound

    def __str__(self) -> str:
        return f"{self.kind} {self.bound:g}"


@dataclass(frozen=True)
class Row:
    """One question's answer.

    Attributes:
        question: what was asked.
        ratio: median over the rounds of the ratio that the question asks for; what is divided by what, `meaning` says.
        low, high: the smallest and the largest ratio of a round.
        ours, theirs: the unit figures of both sides.
        contract: what was checked to be equal between the sides, and the named differences that remain.
        reach: the bound; None for a figure that only informs.
        floor: what cannot be undercut (arithmetic, bytes, gzip), and how far it is.
        size: `full`, or `tiny` for a run that only shows that the benchmark works.
    """

    question: str
    meaning: str
    ratio: float
    low: float
    high: float
    ours: Side
    theirs: Side
    contract: str
    reach: Reach | None = None
    floor: str = ""
    size: str = "full"
    rounds: int = 1
    machine: dict[str, Any] = field(default_factory=lambda: machine())

    @property
    def verdict(self) -> str:
        """Whether the reach was reached; a tiny run says nothing about it."""
        if self.reach is None or self.size != "full":
            return "-"
        return "reached" if self.reach.reached(self.ratio) else "falls short"

    def as_json(self) -> dict[str, Any]:
        """Plain values, the verdict included."""
        return {**asdict(self), "reach": str(self.reach) if self.reach else None, "verdict": self.verdict}


def faster(
    question: str, ours: Side, theirs: Side, rounds: tuple[Sequence[float], Sequence[float]], **more: Any
) -> Row:
    """A row whose ratio is theirs / ours: how many times faster, or smaller, ours is."""
    pairs = [their / our for our, their in zip(*rounds, strict=True)]
    return _row(question, f"{theirs.name} / {ours.name}", pairs, ours, theirs, **more)


def costlier(
    question: str, ours: Side, theirs: Side, rounds: tuple[Sequence[float], Sequence[float]], **more: Any
) -> Row:
    """A row whose ratio is ours / theirs: how many times more ours costs."""
    pairs = [our / their for our, their in zip(*rounds, strict=True)]
    return _row(question, f"{ours.name} / {theirs.name}", pairs, ours, theirs, **more)


def _row(question: str, meaning: str, pairs: Sequence[float], ours: Side, theirs: Side, **more: Any) -> Row:
    ratio = statistics.median(pairs)
    return Row(question, meaning, ratio, min(pairs), max(pairs), ours, theirs, rounds=len(pairs), **more)


_ENVIRONMENT = ("GLIBC_TUNABLES", "GOMP_", "KMP_", "MALLOC_", "OMP_", "THP_")
"""Variables that say how memory is handed out and how threads wait."""


@cache
def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    openvino = importlib.metadata.version("openvino") if importlib.util.find_spec("openvino") else None
    return {
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": gpu,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "monai": monai.__version__,
        "openvino": openvino,
        "python": platform.python_version(),
        "commit": _commit(),
        "environment": {name: os.environ[name] for name in sorted(os.environ) if name.startswith(_ENVIRONMENT)},
    }


def _commit() -> str | None:
    """Of the checkout that kd_monai is imported from, ``-dirty`` behind it where that was changed since; else None."""
    line = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(line, cwd=Path(kd_monai.__file__).parent, capture_output=True, text=True)
    except FileNotFoundError:
        return None
    return done.stdout.strip() or None


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
