"""How long after its start does a training command make its first step on cached data, against `import monai` alone?

A: a pipeline with `CACHE=disk` on the 2 mm phantom, in a process of its own, until its trainer has completed its first
step; then the process stops. `baseline.py`; `student.py`, which begins with its teacher's training; and `student.py`
with a teacher that exists already (`TEACHER=`), whose loading and compilation come before the student's own first step.
B: `import monai` in another process. All in turn, after one run of each that is not timed and fills caches and
bytecode; the pipelines share their output folder, and with it one cache.
Each process tells the clock that all processes of the machine share.

Contract: both sides have the same interpreter, environment and folder; the step is the first of a run of the row's role
that was not there before, and has a finite loss; nothing was checked or cached anew. A is a normal run until it is told
to stop.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

from kd_monai.config.overlays import TEACHER, train_files
from kd_monai.export.verify import untrained_run
from question import Given, answer, contract, in_turn
from row import Reach, Row, Side, costlier

PIPELINES = Path(__file__).parents[1] / "pipelines"
IMPORT = "import monai, time; print(time.perf_counter())"
FIRST_STEP = """
import json, os, runpy, sys, time
from ignite.engine import Events
from monai.engines import SupervisedTrainer

def stop(trainer):
    told = {"began": began, "stepped": time.perf_counter(), "iteration": trainer.state.iteration}
    print(json.dumps({**told, "loss": trainer.state.output["loss"].item()}), flush=True)
    os._exit(0)

def run(trainer):
    global began
    began = time.perf_counter()
    trainer.add_event_handler(Events.ITERATION_COMPLETED, stop)
    whole_run(trainer)

whole_run, SupervisedTrainer.run = SupervisedTrainer.run, run
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
# pipeline, role of the run whose first step it is, what the row says of it; tiny: the last one alone
CASES = (
    ("baseline", "baseline", ""),
    ("student", "teacher", " (its teacher's first step)"),
    ("student", "student", " (its own first step, its teacher there already)"),
)
TINY = {"n_subjects": 2, "steps_per_epoch": 1, "epochs": 1, "roi_size": [32, 32, 32], "width": 4, "spacing_mm": 4.0}


def seconds(code: str, *arguments: str) -> tuple[float, str]:
    """When a Python process began, and the last line it wrote."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=PIPELINES.parent,
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
        capture_output=True,
        text=True,
    )
    contract(done.returncode == 0, "Both sides end well", done.stderr[-2000:])
    return began, done.stdout.splitlines()[-1]


def import_seconds(code: str = IMPORT) -> float:
    """From the start of a process to the end of its import."""
    began, line = seconds(code)
    return float(line) - began


class FirstSteps:
    """Trainings of one pipeline, stopped after their first step; each has a seed of its own.

    Args:
        given: the benchmark's.
        pipeline: `baseline` or `student`.
        role: of the run whose first step it is.
    """

    def __init__(self, given: Given, pipeline: str, role: str) -> None:
        self.out, self.role = given.work / "runs", role
        data = str(given.small_data.resolve())
        tiny = TINY if given.tiny else {}
        self.line = [str(PIPELINES / f"{pipeline}.py"), f"DATA={data}"]
        self.line += ["CACHE=disk", f"OUT={self.out}", f"DEVICE={given.device}"]
        self.line += [f"SET={' '.join(f'{name}={value}' for name, value in tiny.items())}"] if tiny else []
        if role == "student":
            # elsewhere: `student.py` without a teacher would take it for the one that it is to train
            config = {"dataset_dir": data, "output_dir": str(given.work / "teacher"), "device": "cpu", **tiny}
            self.line += [f"TEACHER={untrained_run(TEACHER, train_files(TEACHER), **config)}"]
        self.parts: list[tuple[float, float]] = []
        self.seed = 0
        self.run()

    def kept(self) -> dict[str, int]:
        """Every file that a later run need not make again, with its time."""
        files = [*(self.out / "cache").rglob("*"), self.out / "checked_files.json"]
        return {file.name: file.stat().st_mtime_ns for file in files if file.is_file()}

    def run(self) -> dict[str, float]:
        began, line = seconds(FIRST_STEP, *self.line, f"SEED={self.seed}")
        self.seed += 1
        return {"process": began, **json.loads(line)}

    def __call__(self) -> float:
        before, runs = self.kept(), set(self.out.glob("*/run.json"))
        told = self.run()
        contract(bool(before) and self.kept() == before, "Nothing is cached anew", self.kept())
        new = set(self.out.glob("*/run.json")) - runs
        contract(len(new) == 1, "A round is one new run", new)
        role = json.loads(new.pop().read_text())["role"]
        contract(role == self.role, f"The first step is that of a {self.role}", role)
        contract(told["iteration"] == 1 and math.isfinite(told["loss"]), "The first step has a finite loss", told)
        self.parts.append((told["began"] - told["process"], told["stepped"] - told["began"]))
        return told["stepped"] - told["process"]


def measure(given: Given) -> list[Row]:
    """A row for the baseline's command, for the student's, and for that of a student whose teacher is there."""
    parts = ("monai", "torch", "ignite.engine", "monai.bundle")[: given.pick(full=4, tiny=0)]
    floor = {name: import_seconds(IMPORT.replace("monai", name)) for name in parts}
    floor.pop("monai", None)  # the first of all is not timed
    said = ", ".join(f"{name} {took:.2f} s" for name, took in floor.items()) or "not measured"
    cases = CASES[given.pick(full=0, tiny=-1) :]
    sides = [FirstSteps(given, pipeline, role) for pipeline, role, _ in cases]
    *ours, theirs = in_turn(*sides, import_seconds, rounds=given.pick(full=3, tiny=1))
    rows = []
    for (pipeline, _, said_of), steps, seconds_of in zip(cases, sides, ours, strict=True):
        until, step = (sorted(part)[len(part) // 2] for part in zip(*steps.parts, strict=True))
        rows.append(
            costlier(
                f"command line start to first step on cached data, {pipeline}.py{said_of}",
                Side.of(f"{pipeline}.py to its first step", "s", seconds_of),
                Side.of("import monai", "s", theirs),
                (seconds_of, theirs),
                contract="same interpreter and environment; first step of a new run; nothing checked or cached anew",
                reach=Reach("at most", 1.5),
                floor=f"imports alone: {said}; until the training begins {until:.2f} s, its first step {step:.2f} s",
                size=given.size,
            )
        )
    return rows


if __name__ == "__main__":
    answer(measure)
