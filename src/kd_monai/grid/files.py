"""What the files under OUT tell of a study's jobs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from kd_monai.grid.jobs import Job
from kd_monai.tracking import read_durations

_ERROR = re.compile(r"[A-Za-z_.]*(Error|Exception|Interrupt|Exit)\b")
# a message may have lines of its own; the next entry begins with its time
_FAILED = re.compile(r"^Error in rule \w+:\n(.*?)(?=^\[\w{3} \w{3} |^Error in rule |\Z)", re.MULTILINE | re.DOTALL)


class JobFiles:
    """The folder ``OUT/jobs``: of each job its log, and a marker that says that it is scored, and in which run folder.

    Run folders are named relative to OUT, so that a copy of OUT elsewhere goes on.

    Args:
        out: folder of the runs.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.folder = out / "jobs"

    def log(self, job: Job) -> Path:
        """What its command says is appended to this file."""
        return self.folder / f"{job.id}.log"

    def note(self, job: Job) -> Path:
        """Its command writes the path of its run folder to this file."""
        return self.folder / f"{job.id}.run"

    def marker(self, job: Job) -> Path:
        """The job writes the name of its run folder to this file when it is scored."""
        return self.folder / f"{job.id}.done"

    def run(self, job: Job) -> Path | None:
        """Folder of its run, if that is finished, scored, and has its bundle where it has weights."""
        marker = self.marker(job)
        name = marker.read_text().strip() if marker.is_file() else ""
        if not name:
            return None
        folder = self.out / name
        try:
            status = json.loads((folder / "run.json").read_text())["status"]
        except (OSError, ValueError, KeyError):
            return None
        exported = (folder / "bundle").is_dir() or not (folder / "model.pt").exists()
        return folder if status == "FINISHED" and (folder / "cases.csv").is_file() and exported else None

    def open_jobs(self, jobs: Iterable[Job]) -> list[Job]:
        """Jobs with something to do; a teacher without weights (`unpack`) has, where one of them is its student."""
        jobs = list(jobs)
        unfinished = {job.id for job in jobs if self.run(job) is None}
        for job in jobs:
            if job.teacher is not None and job.id in unfinished:
                run = self.run(job.teacher)
                if run is None or not (run / "model.pt").is_file():
                    unfinished.add(job.teacher.id)
        return [job for job in jobs if job.id in unfinished]

    def seconds(self, job: Job) -> float:
        """Seconds that its finished run took; 0 where it does not say."""
        run = self.run(job)
        return read_durations(run).get("wall", 0.0) if run else 0.0


def last_error(log: Path) -> str:
    """The last error that a log tells of, on one line; empty where it tells of none."""
    lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
    starts = [number for number, line in enumerate(lines) if _ERROR.match(line)]
    # a bar that was cut short may stand behind it
    error = [line.strip() for line in lines[starts[-1] :] if not re.search(r"(step|case)/s", line)] if starts else []
    return " ".join(error)[:1000].strip()


def snakemake_errors(log: Path) -> dict[str, list[str]]:
    """Job id -> what Snakemake says of each of its failures."""
    errors: dict[str, list[str]] = {}
    for block in _FAILED.findall(log.read_text(errors="replace") if log.is_file() else ""):
        output = re.search(r"^    output: (?:.*/)?(\S+)\.done", block, re.MULTILINE)
        message = re.search(r"^    message: (.*?)^    jobid: ", block, re.MULTILINE | re.DOTALL)
        if output:
            text = " ".join(message[1].split()) if message and message[1].strip() != "None" else ""
            text = text.partition(" sbatch call:")[0].partition("For further error details")[0].strip()
            errors.setdefault(output[1], []).append(text)
    return errors
