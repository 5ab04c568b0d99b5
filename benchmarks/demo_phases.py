"""What share of a demo's time goes to the phase that takes the most beside training?

Reads what the finished demo (`make demo`) under OUT wrote down of itself; at tiny size one of a few steps, which is run
where there is none. Validation, scoring, caching, data check, imports, export and the wait for MLflow are phases of
their own.

Contract: the demo is finished and not shortened, its three runs are scored, and its phases add up to 95 % of its wall
time or more.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import yaml

from kd_monai.config.overlays import BUNDLES, STUDENT
from kd_monai.phases import WALL
<<<<<<< HEAD
from kd_monai.report.phase_table import demo_durations
=======
from kd_monai.tracking import read_durations
from kd_monai.config.overlays import BUNDLES, STUDENT
>>>>>>> report
from question import Given, answer, contract
from row import Reach, Row, Side, costlier

TINY = {"steps_per_epoch": 2, "roi_size": [32, 32, 32], "width": 4, "spacing_mm": 4.0, "overlap": 0.25}


def runs_of(out: Path) -> list[Path]:
    """The runs of a demo that wrote down where their time went."""
    return sorted(file.parent for file in out.glob("*/durations.json"))


def demo_durations(out: Path) -> dict[str, float]:
    """Seconds by phase of these runs, and those of their wall clocks as `wall`.

    Raises:
        FileNotFoundError: there is no run.
    """
    parts = [read_durations(run) for run in runs_of(out)]
    if not parts:
        raise FileNotFoundError(f"A demo leaves runs with durations.json; {out} has none. Run: make demo OUT={out}")
    return {name: sum(part.get(name, 0) for part in parts) for name in dict.fromkeys(key for p in parts for key in p)}


def tiny_demo(given: Given) -> Path:
    """Output folder of a demo of two steps a network."""
    out = given.work / "runs"
    line = ["--data", str(given.small_data.resolve()), "--out", str(out), "--device", str(given.device)]
    line += ["--epochs", "1", "--n-subjects", "2"]
    line += [part for name, value in TINY.items() for part in ("--set", f"{name}={value}")]
    demo = [sys.executable, str(BUNDLES.parent / "pipelines" / "demo.py")]
    done = subprocess.run([*demo, *line], capture_output=True, text=True)
    contract(done.returncode == 0, "The demo ends well", done.stderr[-2000:])
    return out


def length(config: Path) -> dict[str, object]:
    """What of a configuration says how long a training takes."""
    content = yaml.safe_load(config.read_text())
    return {name: content[name] for name in ("epochs", "steps_per_epoch", "n_subjects", "roi_size")}


def check(out: Path, durations: dict[str, float], whole: bool) -> None:
    """The contract; a `whole` demo has the length that train.yaml gives it."""
    runs = runs_of(out)
    if whole:
        wanted = length(STUDENT / "configs" / "train.yaml")
        got = {run.name: length(run / "config.yaml") for run in runs}
        contract(all(own == wanted for own in got.values()), f"A demo is as long as train.yaml says, {wanted}", got)
    states = {run.name: json.loads((run / "run.json").read_text())["status"] for run in runs}
    contract(set(states.values()) == {"FINISHED"}, "The demo's runs are finished", states)
    scored = {run.name: (run / "cases.csv").is_file() for run in runs}
    contract(all(scored.values()), "The demo's runs are scored", scored)
    share = sum(seconds for name, seconds in durations.items() if name != WALL) / durations[WALL]
    contract(0.95 <= share <= 1.001, "Its phases add up to 95 % of its wall time or more, and no more than all", share)


def measure(given: Given) -> list[Row]:
    """A row for the longest phase but training; none where there is no finished demo."""
    out = tiny_demo(given) if given.tiny and not runs_of(given.out) else given.out
    try:
        durations = demo_durations(out)
    except FileNotFoundError as missing:
        print(missing, file=sys.stderr)
        return []
    check(out, durations, whole=not given.tiny)
    whole = durations[WALL]
    others = {name: seconds for name, seconds in durations.items() if name not in (WALL, "training")}
    longest = max(others, key=others.__getitem__)
    shares = ", ".join(f"{name} {durations[name] / whole:.1%}" for name in sorted(durations, key=durations.__getitem__))
    ours, theirs = (Side.of(name, "s", [durations[of]]) for name, of in ((longest, longest), ("the whole demo", WALL)))
    return [
        costlier(
            "make demo by phase: the longest but training",
            ours,
            theirs,
            ([durations[longest]], [whole]),
            contract="a finished demo with three scored runs; its phases are 95 % of its wall time or more",
            reach=Reach("at most", 0.2),
            floor=shares.replace(f", {WALL} 100.0%", ""),
            size=given.size,
        )
    ]


if __name__ == "__main__":
    answer(measure)
