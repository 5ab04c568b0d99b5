"""How many cells a GPU takes at once."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import time
from collections import deque
from dataclasses import dataclass, field

SETTLE_S = 60
"""A cell that trains has reached its peak by then: a few steps and the cache lie behind it."""
ASK_S = 5
GROWTH = 2.0
"""How much larger than those before a young cell may turn out: of a study's methods one took twice its teacher's."""
REMEMBERED = 120
"""Answers whose largest mean size counts: ten minutes."""


def visible_gpus(device: str | None) -> list[str]:
    """Ids of the GPUs that cells may run on: all that a program sees, or the one that ``device`` names; none on a CPU.

    CUDA_VISIBLE_DEVICES counts, as it does for every program: with ``2,3``, ``cuda:1`` is 3.
    """
    kind, _, number = (device or "cuda").partition(":")
    if kind != "cuda":
        return []
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    listed = named.split(",") if named is not None else _ask("index") or []
    ids = [name.strip() for name in listed if name.strip()]
    return ids[int(number) :][:1] if number else ids


class GpuRoom:
    """Whether one more cell fits on a GPU, by what earlier ones took of its memory.

    At most twice as many run as have ended or are `SETTLE_S` seconds old, and none beside the first before a kernel
    ran. Each is counted with the largest mean size that was seen, and a young one with `GROWTH` times that. Of a GPU
    that never says how much memory is used the first rule alone holds.
    """

    def __init__(self) -> None:
        self._gpus: dict[str, _Gpu] = {}

    def __call__(self, gpu: str, running: int) -> bool:
        """Whether a cell may start on ``gpu`` beside ``running`` others; it is taken to start where it may."""
        known = self._gpus.setdefault(gpu, _Gpu())
        known.count(running)
        if time.monotonic() - known.asked >= ASK_S:
            known.look(_numbers(_ask("memory.used,memory.total,utilization.gpu", gpu)), running)
            known.asked = time.monotonic()  # it may have taken seconds to answer
        now = time.monotonic()
        if running and not known.holds_one_more(running, now):
            return False
        known.starts.append(now)
        return True


@dataclass
class _Gpu:
    """What is known of one.

    Attributes:
        starts: when its running cells started; which of them has ended is not known, and the oldest are taken to have.
        ended: cells that have.
        asked: when it was asked last.
        answer: used and total memory in MiB; None where it did not answer.
        before: the least that was used, by others.
        sizes: mean use of a cell in each of the last answers that came while a kernel ran.
    """

    starts: list[float] = field(default_factory=list)
    ended: int = 0
    asked: float = -math.inf
    answer: tuple[float, float] | None = None
    before: float = math.inf
    sizes: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    def count(self, running: int) -> None:
        """Take down how many of its cells still run."""
        self.ended += max(0, len(self.starts) - running)
        self.starts = self.starts[-running:] if running else []

    def look(self, numbers: tuple[float, float, float] | None, running: int) -> None:
        """Take down an answer: memory used and in all, in MiB, and per cent of the time in which a kernel ran."""
        self.answer = numbers[:2] if numbers else None
        if numbers is None:
            return
        used, _, utilisation = numbers
        self.before = min(self.before, used)
        if running and utilisation > 0:
            self.sizes.append((used - self.before) / running)

    def holds_one_more(self, running: int, now: float) -> bool:
        """Whether it may start beside ``running`` others."""
        young = sum(now - start < SETTLE_S for start in self.starts)
        if running >= 2 * (running - young + self.ended):
            return False
        if self.before == math.inf:
            return True  # it has never answered
        size = max(self.sizes, default=0.0)
        if self.answer is None or size <= 0:
            return False
        used, total = self.answer
        taken = max(used - self.before, size * (running - young))
        return self.before + taken + GROWTH * size * (young + 1) <= total


def _numbers(lines: list[str] | None) -> tuple[float, float, float] | None:
    """Those of the first line; None without memory, and 100 where utilisation is not given, as of a part of a GPU."""
    parts = lines[0].split(",") if lines else []
    try:
        used, total, utilisation = parts
        return float(used), float(total), float(utilisation) if utilisation.strip().isdigit() else 100.0
    except ValueError:
        return None


def _ask(query: str, gpu: str = "") -> list[str] | None:
    """Lines of nvidia-smi; None where there is none or it does not answer."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    line = [program, f"--query-gpu={query}", "--format=csv,noheader,nounits", *([f"--id={gpu}"] if gpu else [])]
    try:
        done = subprocess.run(line, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip().splitlines()
