"""How many cells a GPU takes at once."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from dataclasses import dataclass

SETTLE_S = 60
"""The last of several cells has reached its peak by then: a few steps and the cache lie behind it."""
ASK_S = 5
BUSY = 2
"""So many answers that show a kernel at work say that cells train; before, they take next to no memory."""
RESERVE = 1.2
"""How much of what the running cells take on average must be free for one more."""


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
    """Whether one more cell fits on a GPU, by what the running ones take of its memory.

    It is asked when the first cell trains, and half of those that it then holds start at once, for the next may be
    larger; it is asked again when they train and `SETTLE_S` seconds have passed since the last start. A place that a
    finished cell leaves is taken at once. A GPU that gives no numbers takes one more every `SETTLE_S` seconds.
    """

    def __init__(self) -> None:
        self._gpus: dict[str, _Known] = {}

    def __call__(self, gpu: str, running: int) -> bool:
        """Whether a cell may start on ``gpu`` beside ``running`` others."""
        now = time.monotonic()
        known = self._gpus.setdefault(gpu, _Known())
        if running > known.running or running == 0:
            known.since, known.busy = now, 0
        known.running = running
        if running < known.allowed:
            return True
        if now - known.asked < ASK_S:
            return False
        known.asked = now
        settled = now - known.since >= SETTLE_S
        numbers = _numbers(_ask("memory.used,memory.total,utilization.gpu", gpu))
        if numbers is None:
            known.allowed = running + 1 if settled else known.allowed
            return running < known.allowed
        used, total, utilisation = numbers
        known.busy += utilisation > 0
        if known.busy >= BUSY and (settled or running == 1):
            known.allowed = may_run(used, total, running)
        return running < known.allowed


@dataclass
class _Known:
    """Of a GPU: cells at the last call, when their number last rose, how many may run, when it was asked, busy ones."""

    running: int = 0
    since: float = 0.0
    allowed: int = 1
    asked: float = float("-inf")
    busy: int = 0


def may_run(used_mib: float, total_mib: float, running: int) -> int:
    """How many cells may run: those that do, and half of what is free, with a reserve, in cells of their mean size.

    >>> may_run(20_000, 80_000, 2), may_run(60_000, 80_000, 2)
    (5, 2)
    """
    more = int((total_mib - used_mib) / (RESERVE * max(used_mib, 1) / running))
    return running + (more + 1) // 2


def _numbers(lines: list[str] | None) -> tuple[float, ...] | None:
    """Those of the first line; a part of a GPU (MIG) says [N/A]."""
    try:
        return tuple(float(value) for value in lines[0].split(",")) if lines else None
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
