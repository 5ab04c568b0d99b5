"""How many cells a GPU takes at once."""

from __future__ import annotations

import os
import shutil
import subprocess
import time

SETTLE_S = 60
"""A cell has reached its peak by then: a few steps and the cache lie behind it."""
ASK_S = 5
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
    """Whether one more cell fits on a GPU: its memory, after the last one started has had `SETTLE_S` seconds to grow.

    A GPU whose memory cannot be asked for has room.
    """

    def __init__(self) -> None:
        self._admitted: dict[str, tuple[int, float]] = {}
        self._asked: dict[str, float] = {}

    def __call__(self, gpu: str, running: int) -> bool:
        """Whether a cell may start on ``gpu`` beside ``running`` others."""
        now = time.monotonic()
        known, since = self._admitted.get(gpu, (0, -SETTLE_S))
        if running > known or running == 0:
            since = now if running else -SETTLE_S
        self._admitted[gpu] = (running, since)
        if running == 0:
            return True
        if now - since < SETTLE_S or now - self._asked.get(gpu, -ASK_S) < ASK_S:
            return False
        self._asked[gpu] = now
        memory = _ask("memory.used,memory.total", gpu)
        if not memory:
            return True
        used, total = (float(value) for value in memory[0].split(","))
        return fits(used, total, running)


def fits(used_mib: float, total_mib: float, running: int) -> bool:
    """Whether what is free holds one more cell of the running ones' mean size, with a reserve.

    >>> fits(20_000, 80_000, 2), fits(60_000, 80_000, 2)
    (True, False)
    """
    return total_mib - used_mib >= RESERVE * used_mib / running


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
