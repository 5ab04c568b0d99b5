"""Run the cells of a study that are not finished: each after its teacher, several at once."""

from __future__ import annotations

import os
import re
import shlex
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Protocol

from filelock import FileLock, Timeout

from kd_monai.config.overlays import BUNDLES
from kd_monai.grid.cells import Cell
from kd_monai.grid.ledger import Ledger
from kd_monai.grid.study_line import StudyLine, seconds_left

POLL_S = 0.5
_ERROR = re.compile(r"[A-Za-z_.]*(Error|Exception|Interrupt|Exit)\b")


class Runner(Protocol):
    """What runs commands: `Workers` or `Jobs`."""

    jobs: int

    @property
    def free(self) -> bool:
        """Whether one more cell may start."""

    def start(self, cell: str, command: Sequence[str], log: Path) -> str:
        """Start a cell; returns the variables that stand before its command."""

    def ended(self, timeout_s: float) -> dict[str, str]:
        """Cells that have ended, each with what went wrong, empty where nothing did."""

    def stop(self) -> None:
        """End what runs."""


@dataclass(frozen=True)
class Outcome:
    """How a study ended.

    Attributes:
        finished: number of finished cells.
        complaint: names each failed cell with its log and command; empty where none failed.
    """

    finished: int
    complaint: str


def run_cells(cells: Sequence[Cell], ledger: Ledger, runner: Runner) -> Outcome:
    """Run every cell that is not finished; one that fails is marked, its students are blocked, the rest go on.

    SIGINT, SIGTERM and SIGHUP end what runs, and the ledger is saved: the next call continues.

    Raises:
        KeyboardInterrupt: the user stopped it.
        BlockingIOError: another study writes into this folder.
    """
    ledger.out.mkdir(parents=True, exist_ok=True)
    lock = FileLock(ledger.out / "study.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise BlockingIOError(
            f"One study at a time may write a folder; another one holds {lock.lock_file}. Wait for it, or choose "
            "another OUT."
        ) from error
    with lock, _signals():
        return _Execution(cells, ledger, runner).run()


class _Execution:
    def __init__(self, cells: Sequence[Cell], ledger: Ledger, runner: Runner) -> None:
        self.cells = {cell.name: cell for cell in cells}
        self.ledger, self.runner = ledger, runner
        self.since: dict[str, float] = {}
        self.line = StudyLine()

    def run(self) -> Outcome:
        self.ledger.write()
        try:
            while True:
                self._start_what_may()
                self._show()
                if not self.since:
                    break
                for name, wrong in self.runner.ended(POLL_S).items():
                    self._end(name, wrong)
        finally:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)  # it is ending already
            self.line.close()
            self.runner.stop()
            for name in self.since:
                self.ledger.set(name, "pending", message="interrupted")
        return Outcome(self._count()["finished"], self._complaint())

    def _start_what_may(self) -> None:
        for cell in self.cells.values():
            if self.ledger.state(cell.name) != "pending":
                continue
            teacher = self.ledger.state(cell.teacher) if cell.teacher else "finished"
            if teacher in ("failed", "blocked"):
                self.ledger.set(cell.name, "blocked", message=f"its teacher {cell.teacher} failed")
            elif teacher == "finished" and self.runner.free:
                self._start(cell)

    def _start(self, cell: Cell) -> None:
        teacher = str(self.ledger.run(cell.teacher)) if cell.teacher else ""
        note, log = self.ledger.note(cell.name), self.ledger.log(cell.name)
        note.parent.mkdir(parents=True, exist_ok=True)
        note.unlink(missing_ok=True)
        script = BUNDLES.parent / "pipelines" / f"{cell.pipeline}.py"
        command = [str(script), *cell.arguments(note, teacher)]
        before = self.runner.start(cell.name, command, log)
        self.since[cell.name] = time.monotonic()
        shown = before + shlex.join([_shortest(Path(sys.executable)), _shortest(script), *command[1:]])
        self.ledger.set(cell.name, "running", command=shown, log=str(log.relative_to(self.ledger.out)), message="")

    def _end(self, name: str, wrong: str) -> None:
        del self.since[name]
        if wrong:
            said = last_error(self.ledger.log(name))
            self.ledger.set(name, "failed", message=f"{said} ({wrong})" if said else wrong)
            return
        try:
            self.ledger.finish(name)
        except ValueError as error:  # another machine's file system may show a job's note late
            self.ledger.set(name, "failed", message=str(error))

    def _count(self) -> Counter[str]:
        return Counter(self.ledger.state(name) for name in self.cells)

    def _show(self) -> None:
        took: dict[str, list[float]] = {}
        open_cells = []
        for name, cell in self.cells.items():
            entry = self.ledger.entry(name)
            if entry["state"] == "finished" and entry.get("seconds"):
                took.setdefault(cell.kind, []).append(entry["seconds"])
            elif entry["state"] in ("pending", "running"):
                open_cells.append(cell)
        now = time.monotonic()
        spent = {name: now - since for name, since in self.since.items()}
        left = seconds_left(open_cells, {kind: mean(values) for kind, values in took.items()}, spent, self.runner.jobs)
        self.line.show(len(self.cells), self._count(), list(self.since), left)

    def _complaint(self) -> str:
        count = self._count()
        if not count["failed"]:
            return ""
        lines = [f"{count['failed']} of {len(self.cells)} cells failed:"]
        for name in self.cells:
            entry = self.ledger.entry(name)
            if entry["state"] == "failed":
                lines += [f"  {name}: {entry['message']}", f"    log      {self.ledger.log(name)}"]
                lines += [f"    command  {entry['command']}"]
        if count["blocked"]:
            lines.append(f"{count['blocked']} wait for a teacher that failed.")
        lines.append("Mend the cause: the same command trains what is missing, and leaves alone what is finished.")
        return "\n".join(lines)


def last_error(log: Path) -> str:
    """The last error that a log tells of, on one line; empty where it tells of none."""
    lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
    places = [place for place, line in enumerate(lines) if _ERROR.match(line)]
    # a bar that was cut short may stand behind it
    told = [line.strip() for line in lines[places[-1] :] if not re.search(r"(step|case)/s", line)] if places else []
    return " ".join(told)[:1000].strip()


def _shortest(path: Path) -> str:
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


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
