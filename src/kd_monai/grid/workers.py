"""Cells on this machine: a few processes that take one after another."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

PATIENCE_S = 60
"""How long a process that was interrupted may take to say so in its run's folder and to MLflow."""


@dataclass
class _Worker:
    process: subprocess.Popen[str]
    cell: str = ""


class Workers:
    """Up to ``jobs`` processes of `kd_monai.grid.worker`.

    Each has a session of its own, so that a terminal's Ctrl-C reaches the study alone, which then ends them. Several at
    once share the processor: each has ``cores // jobs`` threads unless OMP_NUM_THREADS is set, for more threads than
    cores cost several times what they bring. The number of threads decides the last bits of a CPU training.

    Args:
        jobs: processes at most.
        gpus: ids of the GPUs that the processes are dealt to; a single one is where the cells' own device already is;
            empty on a CPU.
        has_room: whether a GPU takes one more cell beside a number of running ones.
    """

    def __init__(
        self, jobs: int, gpus: Sequence[str] = (), has_room: Callable[[str, int], bool] = lambda gpu, running: True
    ) -> None:
        self.jobs, self.gpus, self._has_room = jobs, list(gpus), has_room
        self._workers: dict[int, _Worker] = {}
        self._place: int | None = None

    def environment(self, place: int) -> dict[str, str]:
        """Of the process in a place, where it differs from this one's."""
        more = {}
        if self.jobs > 1 and "OMP_NUM_THREADS" not in os.environ:
            more["OMP_NUM_THREADS"] = str(threads_each(self.jobs))
        if len(self.gpus) > 1:
            more["CUDA_VISIBLE_DEVICES"] = self.gpus[place % len(self.gpus)]
        return more

    def _free_place(self) -> int | None:
        busy = {place for place, worker in self._workers.items() if worker.cell}
        for place in range(self.jobs):
            if place in busy:
                continue
            if not self.gpus:
                return place
            shared = sum(other % len(self.gpus) == place % len(self.gpus) for other in busy)
            if self._has_room(self.gpus[place % len(self.gpus)], shared):
                return place
        return None

    @property
    def free(self) -> bool:
        """Whether one more cell may start; `start` takes the place that was found."""
        self._place = self._free_place()
        return self._place is not None

    def start(self, cell: str, command: Sequence[str], log: Path) -> str:
        """Start a cell; returns the variables that stand before its command."""
        place = self._place if self._place is not None else self._free_place()
        self._place = None
        if place is None:
            raise RuntimeError(f"A cell is started where a place is free; all {self.jobs} are taken. Wait for one.")
        worker = self._workers.get(place)
        if worker is None or worker.process.poll() is not None:
            worker = self._workers[place] = _Worker(self._launch(place, log))
        worker.cell = cell
        if worker.process.stdin is not None:
            worker.process.stdin.write(json.dumps({"command": list(command), "log": str(log)}) + "\n")
            worker.process.stdin.flush()
        return "".join(f"{name}={value} " for name, value in self.environment(place).items())

    def _launch(self, place: int, log: Path) -> subprocess.Popen[str]:
        """A process; what hinders its start is told to the log of its first cell."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as told:
            return subprocess.Popen(
                [sys.executable, "-m", "kd_monai.grid.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=told,
                text=True,
                env={**os.environ, **self.environment(place)},
                start_new_session=True,
            )

    def ended(self, timeout_s: float) -> dict[str, str]:
        """Cells that have ended since the last call, each with what went wrong, empty where nothing did.

        It waits for one ``timeout_s`` seconds at most.
        """
        with selectors.DefaultSelector() as selector:
            for place, worker in self._workers.items():
                if worker.cell and worker.process.stdout is not None:
                    selector.register(worker.process.stdout, selectors.EVENT_READ, place)
            if not selector.get_map():
                time.sleep(timeout_s)
                return {}
            return dict(self._answer(key.data) for key, _ in selector.select(timeout_s))

    def _answer(self, place: int) -> tuple[str, str]:
        worker = self._workers[place]
        line = worker.process.stdout.readline() if worker.process.stdout is not None else ""
        cell, worker.cell = worker.cell, ""
        if line.strip() == "0":
            return cell, ""
        # a GPU's error may stay with its process
        self._end([self._workers.pop(place)])
        if line:
            return cell, f"exit status {line.strip()}"
        number = worker.process.returncode
        how = f"by {signal.Signals(-number).name}" if number < 0 else f"with exit status {number}"
        return cell, f"its process ended {how}"

    def stop(self) -> None:
        """Interrupt what runs, which marks its run and can be continued, and end all processes."""
        for worker in self._workers.values():
            if worker.cell and worker.process.poll() is None:
                worker.process.send_signal(signal.SIGINT)
        self._end(list(self._workers.values()))
        self._workers.clear()

    def _end(self, workers: Sequence[_Worker]) -> None:
        """Idle ones end with their orders; what does not is killed, with what it started."""
        for worker in workers:
            if worker.process.stdin is not None and not worker.cell:
                worker.process.stdin.close()
        for worker in workers:
            try:
                worker.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                os.killpg(worker.process.pid, signal.SIGKILL)
                worker.process.wait()
            for pipe in (worker.process.stdin, worker.process.stdout):
                if pipe is not None:
                    pipe.close()


def threads_each(jobs: int) -> int:
    """Threads of each of ``jobs`` processes that share this machine's processors, at least one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // jobs)
