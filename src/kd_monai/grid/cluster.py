"""Cells as jobs: of Slurm, or with submitit's local executor on this machine. The only file that imports submitit."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kd_monai.grid.worker import run_logged

# minutes after which Slurm interrupts a job, which is then queued again and goes on; its cores
DEFAULTS: Mapping[str, str] = {"timeout_min": "720", "cpus_per_task": "4"}


class CellJob:
    """A cell's command as a job; queued again where Slurm has interrupted it (time limit, preemption)."""

    def __call__(self, command: Sequence[str], log: str) -> int:
        """Its exit status."""
        return run_logged(command, log)

    def checkpoint(self, command: Sequence[str], log: str) -> Any:
        """What is queued again: the same command, which finds its run."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(CellJob(), command, log)


class Jobs:
    """Up to ``jobs`` cells in the queue or at work at once.

    Args:
        jobs: cells at most.
        folder: where submitit keeps its files, seen by all machines.
        cluster: ``slurm``, or ``local`` for processes of this machine.
        parameters: of submitit's `update_parameters`, over `DEFAULTS`: ``slurm_partition=gpu gpus_per_node=1``.
        threads: of a job, unless OMP_NUM_THREADS is set.

    Raises:
        ValueError: submitit is not installed, it does not take a parameter, or there is no Slurm here.
    """

    def __init__(self, jobs: int, folder: Path, cluster: str, parameters: Mapping[str, str], threads: int) -> None:
        try:
            import submitit
        except ImportError as error:
            raise ValueError(
                "SCHEDULER=slurm and SCHEDULER=submitit need submitit; it is not installed. Install the extra "
                "[cluster]: .venv/bin/pip install -e '.[cluster]'."
            ) from error
        self.jobs = jobs
        self._environment = {} if "OMP_NUM_THREADS" in os.environ else {"OMP_NUM_THREADS": str(threads)}
        self._jobs: dict[str, Any] = {}
        scheduler = "submitit" if cluster == "local" else cluster
        typed = {name: int(value) if value.isdigit() else value for name, value in {**DEFAULTS, **parameters}.items()}
        try:
            self._executor = submitit.AutoExecutor(folder=folder, cluster=cluster)
            self._executor.update_parameters(**typed)
        except (AssertionError, NameError, RuntimeError, ValueError) as error:
            raise ValueError(
                f"SCHEDULER={scheduler} needs that scheduler here and parameters (SLURM) that submitit takes; got "
                f"{dict(parameters)}: {error} Correct SLURM, or leave SCHEDULER empty for processes of this machine."
            ) from error

    @property
    def free(self) -> bool:
        """Whether one more cell may be queued."""
        return len(self._jobs) < self.jobs

    def start(self, cell: str, command: Sequence[str], log: Path) -> str:
        """Queue a cell; returns the variables that stand before its command."""
        from submitit.helpers import environment_variables

        with environment_variables(**self._environment):
            self._jobs[cell] = self._executor.submit(CellJob(), list(command), str(log))
        return "".join(f"{name}={value} " for name, value in self._environment.items())

    def ended(self, timeout_s: float) -> dict[str, str]:
        """Cells that have ended since the last call, each with what went wrong; it waits ``timeout_s`` seconds."""
        time.sleep(timeout_s)
        done = [cell for cell, job in self._jobs.items() if job.done()]
        return {cell: self._outcome(self._jobs.pop(cell)) for cell in done}

    def _outcome(self, job: Any) -> str:
        from submitit.core.utils import FailedJobError, UncompletedJobError

        try:
            status = job.result()
        except (FailedJobError, UncompletedJobError) as error:
            lines = [line for line in str(error).splitlines() if line.strip()]
            return f"job {job.job_id} ({job.state}) gave no result: {lines[-1] if lines else type(error).__name__}"
        return "" if status == 0 else f"exit status {status}"

    def stop(self) -> None:
        """Cancel what is queued or runs, and wait until it has gone."""
        for job in self._jobs.values():
            job.cancel(check=False)
        until = time.monotonic() + 60
        while any(not job.done() for job in self._jobs.values()) and time.monotonic() < until:
            time.sleep(0.2)
        self._jobs.clear()
