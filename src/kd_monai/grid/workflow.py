"""Have Snakemake run the jobs of a study, say how far it is, and end with the report."""

from __future__ import annotations

import json
import logging
import os
import shlex
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from kd_monai.atomic import write_json
from kd_monai.config import variables as table
from kd_monai.config.variables import Command
from kd_monai.errors import UserError
from kd_monai.grid.checks import check, read_data, to_check
from kd_monai.grid.files import JobFiles, last_error, snakemake_errors
from kd_monai.grid.jobs import Job, Kinds, make_jobs, read_kinds
from kd_monai.grid.progress import Progress
from kd_monai.networks.inferers import resolved_precision

logger = logging.getLogger(__name__)

SNAKEFILE = Path(__file__).parent / "study.smk"
PATIENCE_S = 60
"""How long jobs that were interrupted may take to say so in their run's folder and to MLflow."""


def command_line(verb: str, variables: Mapping[str, str]) -> list[str]:
    """The words of a command that a user could type."""
    return [sys.executable, "-m", "kd_monai", *table.command_line(verb, variables)]


def study(command: Command) -> int:
    """Train what a study lacks, and report; the same call continues one that was stopped.

    Args:
        command: of the verb study, with its DATA.

    Returns:
        The exit status: 0, or 1 where jobs or the report have failed. Jobs are named with log and command; their
        students wait, and all others are finished.

    Raises:
        UserError: something is wrong with the variables, the data, the networks or the folder of PROFILE; no job has
            begun.
        KeyboardInterrupt: the user stopped it, and with it its jobs.
    """
    profile: Path | None = command["PROFILE"]
    if profile and not profile.is_dir():
        raise UserError(f"PROFILE must be the folder of a Snakemake profile; {profile} does not exist. Correct it.")
    kinds = read_kinds(command)
    out: Path = command["OUT"]
    with _alone(out):
        datalist, folds = read_data(command, kinds)
        precision = study_precision(kinds, out)
        jobs = make_jobs(command, kinds, datalist, folds, precision)
        for job in to_check(jobs):
            check(job)
        return _run(command, jobs, JobFiles(out), precision)


def study_precision(kinds: Kinds, out: Path) -> str:
    """bf16 or fp32, for jobs whose configuration says auto: what the first such launch in this folder came to.

    The machines of a cluster differ. If each resolved it, a job that is continued on another one would start anew, and
    the runs of a table would not be comparable.
    """
    plans = [kind.plan for kind in (kinds.teacher, *kinds.methods) if kind.plan.config["precision"] == "auto"]
    if not plans:
        return ""
    return _recorded_precision(out) or resolved_precision(plans[0].parser().get_parsed_content("device"))


def _recorded_precision(out: Path) -> str:
    file = out / "study.json"
    precision = json.loads(file.read_text()).get("precision") if file.is_file() else ""
    return precision if precision in ("bf16", "fp32") else ""


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    out.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(out / "study.lock", timeout=0):
            yield
    except Timeout as error:
        raise UserError(
            f"One study at a time may write a folder; another one holds {error.lock_file}. Wait for it, or choose "
            "another OUT."
        ) from error


def _run(command: Command, jobs: Sequence[Job], files: JobFiles, precision: str) -> int:
    complaint, reported = "", 0
    if files.open_jobs(jobs):
        write_study(command, jobs, files, precision)
        log = files.out / "study.log"
        progress = Progress(jobs, files, log, None if command["PROFILE"] else command["JOBS"])
        with _signals():
            status = _snakemake(command, files, log, progress)
        complaint = _complaint(command, jobs, files, log, status, progress.states())
    if any(job.kind.role != "teacher" and files.run(job) for job in jobs):
        reported = subprocess.run(command_line("report", {"OUT": str(files.out)}), check=False).returncode
    sys.stdout.flush()
    if complaint:  # said last, whether or not the rest can be compared
        logger.error("\n%s", complaint)
    return 1 if complaint or reported else 0


def write_study(command: Command, jobs: Sequence[Job], files: JobFiles, precision: str = "") -> None:
    """Write the job list ``OUT/study.json``, which `study.smk` reads; markers of open jobs are removed."""
    open_jobs = {job.id for job in files.open_jobs(jobs)}
    files.folder.mkdir(parents=True, exist_ok=True)
    entries: dict[str, Any] = {}
    for job in jobs:
        if job.id in open_jobs:
            files.marker(job).unlink(missing_ok=True)
        entries[job.id] = {
            "role": job.kind.role,
            "teacher": job.teacher.id if job.teacher else None,
            "open": job.id in open_jobs,
            "command": shell_command(job, files),
        }
    gpus = command["GPUS"] or 1
    content = {
        "folder": os.getcwd(),
        "precision": precision or _recorded_precision(files.out),
        "threads": _threads(command),
        "resources": {"gpu": gpus} if gpus > 1 else {},
        "jobs": entries,
    }
    write_json(files.out / "study.json", content)


def shell_command(job: Job, files: JobFiles) -> str:
    """The job's command as a user could type it."""
    words = command_line(job.kind.role, {**job.variables, "NOTE": str(files.note(job))})
    text = shlex.join(words)
    if job.teacher is None:
        return text
    # known when the teacher is trained
    return f'{text} TEACHER={shlex.quote(str(files.out))}/"$(cat {shlex.quote(str(files.marker(job.teacher)))})"'


def _threads(command: Command) -> int:
    """Of each job: jobs at once share the processors. Another number gives a CPU training other last bits."""
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()  # OpenMP takes a list: of nested regions
    if asked.isdecimal() and int(asked):
        return int(asked)
    if command["PROFILE"]:
        return 4
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // command["JOBS"])


def snakemake_command(command: Command, out: Path) -> list[str]:
    """Snakemake on this study's jobs; of a user's profile it takes what the study does not say itself."""
    words = [sys.executable, "-m", "snakemake", "--snakefile", str(SNAKEFILE), "--directory", str(out)]
    words += ["--keep-going", "--rerun-incomplete", "--rerun-triggers", "input", "--nolock", "--scheduler", "greedy"]
    words += ["--runtime-source-cache-path", str(out / ".snakemake" / "source-cache"), "--workflow-profile", "none"]
    words += ["--profile", str(command["PROFILE"] or "none")]
    if not command["PROFILE"]:
        words += ["--cores", str(_threads(command) * command["JOBS"])]
    elif "JOBS" in command.typed:
        words += ["--jobs", str(command["JOBS"])]
    return words


def _snakemake(command: Command, files: JobFiles, log: Path, progress: Progress) -> int:
    """Run Snakemake to its end, and show one line of progress; its exit status."""
    logger.info("Snakemake's log: %s", log)
    with log.open("w") as output:
        # a session of its own: a terminal's Ctrl-C reaches the study alone, which then ends it
        process = subprocess.Popen(
            snakemake_command(command, files.out),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        while True:
            progress.show()
            try:
                status = process.wait(1)
                progress.show()
                return status
            except subprocess.TimeoutExpired:
                pass
    except KeyboardInterrupt:
        _stop(process)
        raise
    finally:
        progress.close()


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Interrupt Snakemake and its local jobs, which mark their runs; it cancels those of a cluster itself."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it is ending already
    for number in (signal.SIGINT, signal.SIGKILL):
        os.killpg(process.pid, number)
        try:
            process.wait(PATIENCE_S)
            return
        except subprocess.TimeoutExpired:
            pass


@contextmanager
def _signals() -> Iterator[None]:
    """SIGINT, SIGTERM and SIGHUP become KeyboardInterrupt, but for a SIGHUP that nohup ignores."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        if number != signal.SIGHUP or before[number] != signal.SIG_IGN:
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _complaint(
    command: Command, jobs: Sequence[Job], files: JobFiles, log: Path, status: int, states: Mapping[str, str]
) -> str:
    """Names each failed job with its log and command; empty where all are finished."""
    counts = Counter(states.values())
    if counts["finished"] == len(jobs):
        return ""
    lines = []
    failed = [job for job in jobs if states[job.id] in ("failed", "running")]  # running: it ended without a word
    if failed:
        lines.append(f"{len(failed)} of {len(jobs)} jobs failed:")
    errors = snakemake_errors(log)
    threads = "" if command["PROFILE"] else f"OMP_NUM_THREADS={_threads(command)} "
    for job in failed:
        causes = [last_error(files.log(job)), *errors.get(job.id, [])[-1:]]
        lines.append(f"  {job.name}: {' '.join(filter(None, causes)) or 'its command ended with an error'}")
        lines += [f"    log      {files.log(job)}", f"    command  {threads}{shell_command(job, files)}"]
    if counts["blocked"]:
        lines.append(f"{counts['blocked']} wait for a teacher that failed.")
    if counts["waiting"]:
        tail = " ".join(line.strip() for line in log.read_text(errors="replace").splitlines()[-5:] if line.strip())
        lines.append(f"{counts['waiting']} were not started. Snakemake ended with status {status}: {tail}\nSee {log}.")
    lines.append("Mend the cause: the same command trains what is missing, and leaves alone what is finished.")
    return "\n".join(lines)
