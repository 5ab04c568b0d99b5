"""Seconds that each phase of a run took, in its folder; those of an interrupted and continued run add up."""

from __future__ import annotations

from pathlib import Path

from kd_monai.atomic import write_json
from kd_monai.phases import stopwatch
from kd_monai.tracking.journal import read_json

FILE = "durations.json"


def read_durations(folder: Path) -> dict[str, float]:
    """Seconds by phase, and those of the wall clock as `wall`; none where the folder tells of none."""
    return read_json(folder / FILE)


def add_durations(folder: Path) -> dict[str, float]:
    """Add to the folder's file what this process has spent since it was last asked; returns the sums."""
    sums = read_durations(folder)
    for name, seconds in stopwatch.take().items():
        sums[name] = round(sums.get(name, 0) + seconds, 3)
    write_json(folder / FILE, sums)
    return sums
