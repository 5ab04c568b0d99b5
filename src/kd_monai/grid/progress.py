"""One line that says how far a study is, and when it will be done."""

from __future__ import annotations

import shutil
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean

from kd_monai.grid.files import JobFiles, snakemake_errors
from kd_monai.grid.jobs import Job


def seconds_left(
    open_jobs: Sequence[Job], took: Mapping[str, float], running: Mapping[str, float], jobs: int
) -> float | None:
    """Estimate of the seconds until all jobs are done; None before the first one is.

    A job takes the mean of the finished ones of its kind, or of all where its kind has none yet.

    Args:
        open_jobs: those that are not finished, without those whose teacher failed.
        took: seconds by kind of the finished ones, their mean.
        running: job id -> seconds that it has run.
        jobs: jobs at once.
    """
    if not took:
        return None
    any_kind = mean(took.values())
    needs = {job.id: max(0.0, took.get(job.kind.name, any_kind) - running.get(job.id, 0.0)) for job in open_jobs}
    longest = max(needs.values(), default=0.0)
    return max(longest, sum(needs.values()) / max(1, min(jobs, len(needs))))


def clock(seconds: float) -> str:
    """Seconds as a reader of clocks says them: to the second up to a minute and a half, else to the minute.

    >>> clock(59), clock(100), clock(3720)
    ('59 s', '2 min', '1 h 02 min')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


class Progress:
    """Write the line: over the last one on a terminal, else whenever it says something new.

    A job runs when its log grows; one that Snakemake has handed to a cluster and that waits in its queue does not.

    Args:
        jobs: all of the study.
        files: where they write.
        log: of Snakemake.
        at_once: jobs that run at once, at most; None where a profile decides, for those that do.
    """

    def __init__(self, jobs: Sequence[Job], files: JobFiles, log: Path, at_once: int | None) -> None:
        self.jobs, self.files, self.snakemake_log, self.at_once = jobs, files, log, at_once
        self._began = time.monotonic()
        self._before = {job.id: self._size(job) for job in jobs}
        self._since: dict[str, float] = {}
        self._failures: Counter[str] = Counter()
        self._finished = {job.id for job in jobs if files.run(job)}
        self._last = ""
        self._width = 0

    def _size(self, job: Job) -> int:
        log = self.files.log(job)
        return log.stat().st_size if log.is_file() else 0

    def states(self) -> dict[str, str]:
        """Job id -> finished, failed, blocked, running or waiting."""
        failures = Counter({name: len(errors) for name, errors in snakemake_errors(self.snakemake_log).items()})
        states: dict[str, str] = {}
        for job in self.jobs:
            if failures[job.id] > self._failures[job.id]:  # a retry begins with a longer log
                self._before[job.id] = self._size(job)
                self._since.pop(job.id, None)
            if job.id in self._finished or self.files.run(job):
                self._finished.add(job.id)
                states[job.id] = "finished"
            elif self._size(job) > self._before[job.id]:
                self._since.setdefault(job.id, time.monotonic())
                states[job.id] = "running"
            elif failures[job.id]:
                states[job.id] = "failed"
            else:
                blocked = job.teacher is not None and states[job.teacher.id] in ("failed", "blocked")
                states[job.id] = "blocked" if blocked else "waiting"
        self._failures = failures
        return states

    def show(self) -> None:
        """Say how many jobs are finished, failed and blocked, which run, and the time so far and left."""
        states = self.states()
        counts = Counter(states.values())
        parts = [f"{counts['finished']}/{len(self.jobs)} jobs finished"]
        parts += [f"{counts[state]} {state}" for state in ("failed", "blocked") if counts[state]]
        running = [job.name for job in self.jobs if states[job.id] == "running"]
        parts += [f"running {', '.join(running)}"] if running else []
        line = ", ".join(parts)
        left_s = self._seconds_left(states)
        times = f" | {clock(time.monotonic() - self._began)} so far, " + (
            "time left not known yet" if left_s is None else f"about {clock(left_s)} left"
        )
        if sys.stderr.isatty():
            columns = shutil.get_terminal_size().columns - 1
            text = (line if len(line) + len(times) <= columns else line[: columns - len(times) - 3] + "...") + times
            sys.stderr.write("\r" + text.ljust(self._width))
            self._width = len(text)
        elif line != self._last:
            sys.stderr.write(f"{line}{times}\n")
        sys.stderr.flush()
        self._last = line

    def _seconds_left(self, states: Mapping[str, str]) -> float | None:
        took: dict[str, list[float]] = {}
        for job in self.jobs:
            if states[job.id] == "finished" and (seconds := self.files.seconds(job)):
                took.setdefault(job.kind.name, []).append(seconds)
        open_jobs = [job for job in self.jobs if states[job.id] in ("running", "waiting")]
        now = time.monotonic()
        running = {name: now - since for name, since in self._since.items()}
        at_once = self.at_once or max(1, sum(state == "running" for state in states.values()))
        return seconds_left(open_jobs, {kind: mean(values) for kind, values in took.items()}, running, at_once)

    def close(self) -> None:
        """Leave the line."""
        if sys.stderr.isatty() and self._width:
            sys.stderr.write("\n")
