"""Where the time of a demo went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from kd_monai.atomic import write_json
from kd_monai.phases import START_UP, WALL, stopwatch
from kd_monai.tracking import read_durations
from kd_monai.tracking.journal import read_json

FILE = "demo.json"


def demo_durations(out: Path) -> dict[str, float]:
    """Seconds by phase of the finished demo in an output folder, and those of the wall clock as `wall`.

    Raises:
        FileNotFoundError: no demo was finished there.
    """
    demo = read_json(out / FILE)
    if not demo:
        raise FileNotFoundError(f"A finished demo leaves {FILE}; {out} has none. Run: make demo OUT={out}")
    return _sum([*(read_durations(out / name) for name in demo["runs"]), demo["durations"]])


def finish_demo(runs: Sequence[Path]) -> str:
    """Write down what a demo did besides its runs, and return the table of all its phases.

    A demo that finds everything done leaves the figures of the one that did it.
    """
    out, names = runs[0].parent, [run.name for run in runs]
    rest = {name: round(seconds, 3) for name, seconds in stopwatch.take().items()}
    # the first run that a process works on is told of its start-up
    idle = START_UP in rest
    if not idle or read_json(out / FILE).get("runs") != names:
        write_json(out / FILE, {"runs": names, "durations": rest})
    return phase_table(demo_durations(out))


def phase_table(durations: Mapping[str, float]) -> str:
    """Seconds and share of each phase, the longest first."""
    wall = durations[WALL]
    named = {name: seconds for name, seconds in durations.items() if name != WALL}
    rows = [*sorted(named.items(), key=lambda row: -row[1]), ("other", wall - sum(named.values())), ("all", wall)]
    return "\n".join(
        [f"{'phase':<12}{'seconds':>10}{'share':>9}"]
        + [f"{name:<12}{seconds:>10.1f}{seconds / wall:>9.1%}" for name, seconds in rows]
    )


def _sum(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: sum(part.get(name, 0) for part in parts) for name in names}
