"""How many cells a GPU takes at once."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import time
from dataclasses import dataclass, field

SETTLE_S = 60
"""A cell has reached its peak by then: a few steps and the cache lie behind it."""
ASK_S = 5
BUSY = 2
"""A lone cell has reached it when so many answers in a row show a kernel at work and as much memory as the last."""
_STEADY = 1.01
"""As much: up to a hundredth more."""
GROWTH = 1.5
"""How much larger than those before a cell may be that has not reached its peak: a student's with its teacher is."""


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

    The first one starts alone and is measured when it trains; then as many start as fit, each counted with
    `GROWTH` times the largest mean size seen until it is `SETTLE_S` seconds old. A GPU that never says how much memory
    is used takes one more every `SETTLE_S` seconds.
    """

    def __init__(self) -> None:
        self._gpus: dict[str, _Gpu] = {}

    def __call__(self, gpu: str, running: int) -> bool:
        """Whether a cell may start on ``gpu`` beside ``running`` others; it is taken to start where it may."""
        now = time.monotonic()
        known = self._gpus.setdefault(gpu, _Gpu())
        # which of them has ended is not known: the younger ones may still grow
        known.starts = known.starts[-running:] if running else []
        if now - known.asked >= ASK_S:
            known.asked = now
            known.look(_numbers(_ask("memory.used,memory.total,utilization.gpu", gpu)), running, now)
        if running and not known.holds_one_more(running, now):
            return False
        known.starts.append(now)
        return True


@dataclass
class _Gpu:
    """What is known of one.

    Attributes:
        starts: when its running cells started.
        asked: when it was asked last.
        answer: used and total memory in MiB; None where it did not answer.
        before: the least that was used without a cell.
        size: the largest mean use of a cell that was seen; 0 before one was.
        busy: answers in a row that show a lone cell at its peak.
        raised: since when a GPU that has never answered takes ``blind`` cells.
    """

    starts: list[float] = field(default_factory=list)
    asked: float = -math.inf
    answer: tuple[float, float] | None = None
    before: float = math.inf
    size: float = 0.0
    busy: int = 0
    raised: float = math.inf
    blind: int = 1

    def look(self, numbers: tuple[float, float, float] | None, running: int, now: float) -> None:
        """Take down an answer: memory used and in all, in MiB, and per cent of the time in which a kernel ran."""
        last, self.answer = self.answer, numbers[:2] if numbers else None
        if numbers is None:
            return
        used, _, utilisation = numbers
        if not running or self.before == math.inf:
            self.before = min(self.before, 0.0 if running else used)
        self.busy = (
            self.busy + 1 if running == 1 and utilisation > 0 and last is not None and used <= _STEADY * last[0] else 0
        )
        if running and (self.busy >= BUSY or self._young(now) == 0):
            self.size = max(self.size, (used - self.before) / running)

    def holds_one_more(self, running: int, now: float) -> bool:
        """Whether it may start beside ``running`` others."""
        if self.before == math.inf:  # it has never answered
            self.raised = min(self.raised, now)
            if now - self.raised >= SETTLE_S:
                self.raised, self.blind = now, max(self.blind, running) + 1
            return running < self.blind
        if self.answer is None or self.size <= 0:
            return False
        used, total = self.answer
        young = self._young(now)
        taken = max(used - self.before, self.size * (running - young + GROWTH * young))
        return self.before + taken + GROWTH * self.size <= total

    def _young(self, now: float) -> int:
        return sum(now - start < SETTLE_S for start in self.starts)


def _numbers(lines: list[str] | None) -> tuple[float, float, float] | None:
    """Those of the first line; None without memory, and no utilisation where it is not given, as of a part of a GPU."""
    parts = lines[0].split(",") if lines else []
    try:
        used, total, utilisation = parts
        return float(used), float(total), float(utilisation) if utilisation.strip().isdigit() else 0.0
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
