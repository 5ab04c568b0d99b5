"""One line that says how far a study is, and when it will be done."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from statistics import mean

from kd_monai.grid.cells import Cell


def seconds_left(
    cells: Sequence[Cell], took: Mapping[str, float], running: Mapping[str, float], jobs: int
) -> float | None:
    """Estimate of the seconds until all cells are done; None before the first one is.

    A cell takes the mean of the finished ones of its kind, or of all where its kind has none yet.

    Args:
        cells: those that are not finished, blocked ones left out.
        took: seconds by kind of the finished ones, their mean.
        running: seconds that running cells have spent.
        jobs: cells at once.
    """
    if not took:
        return None
    any_kind = mean(took.values())
    needs = {cell.name: max(0.0, took.get(cell.kind, any_kind) - running.get(cell.name, 0.0)) for cell in cells}
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


class StudyLine:
    """Write the line: over the last one on a terminal, else whenever it says something new."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._said = ""
        self._width = 0

    def show(self, total: int, counts: Mapping[str, int], running: Sequence[str], left_s: float | None) -> None:
        """Say how many cells are finished, failed and blocked, which run, and the time so far and left.

        Args:
            total: number of cells.
            counts: of cells by state.
            running: names of those that run.
            left_s: estimate of the seconds left.
        """
        parts = [f"{counts.get('finished', 0)}/{total} cells finished"]
        parts += [f"{counts[state]} {state}" for state in ("failed", "blocked") if counts.get(state)]
        parts += [f"running {', '.join(running)}"] if running else []
        said = ", ".join(parts)
        times = f" | {clock(time.monotonic() - self._began)} so far, " + (
            "time left not known yet" if left_s is None else f"about {clock(left_s)} left"
        )
        if sys.stderr.isatty():
            columns = shutil.get_terminal_size().columns - 1
            text = (said if len(said) + len(times) <= columns else said[: columns - len(times) - 3] + "...") + times
            sys.stderr.write("\r" + text.ljust(self._width))
            self._width = len(text)
        elif said != self._said:
            sys.stderr.write(f"{said}{times}\n")
        sys.stderr.flush()
        self._said = said

    def close(self) -> None:
        """Leave the line."""
        if sys.stderr.isatty() and self._width:
            sys.stderr.write("\n")
