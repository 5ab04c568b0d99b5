"""Trainings of the shipped bundles, run epoch by epoch so that two can take turns."""

from __future__ import annotations

import statistics
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events

from kd_monai.config.overlays import SHARED, STUDENT, TEACHER, bundle_scripts, overlay, train_files
from kd_monai.config.plan import Plan
from kd_monai.export.verify import untrained_run
from kd_monai.networks import openvino_is_installed
from kd_monai.training.workflow import workflow_of
from question import Given

LENGTH = 100
"""Epochs that a training believes to have before it: long enough for all that pays in a real one."""


def overrides(given: Given, steps: int, epochs: int = LENGTH) -> dict[str, Any]:
    """What a benchmark's trainings share: the quick recipe on 2 mm subjects, no validation, no MLflow."""
    small = (
        {"n_subjects": 4, "roi_size": [32, 32, 32], "width": 4, "spacing_mm": 4.0} if given.tiny else {"n_subjects": 8}
    )
    return {
        "dataset_dir": str(given.small_data),
        "output_dir": str(given.work / "runs"),
        "device": str(given.device),
        "steps_per_epoch": steps,
        "epochs": epochs,
        "val_every": epochs,
        "fold": "all",
        **small,
    }


def teacher(given: Given, **more: Any) -> Path:
    """Run folder of a teacher of the student's size; untrained: it costs what a trained one does."""
    return untrained_run(TEACHER, train_files(TEACHER), **{**overrides(given, 1, 1), **more})


def runtimes(given: Given) -> list[str]:
    """What can run a teacher here: torch, and OpenVINO on a CPU where it is installed."""
    return ["torch", *(["openvino"] if given.device.type == "cpu" and openvino_is_installed() else [])]


def taken_by_auto(given: Given, steps: int, **more: Any) -> str:
    """What `teacher_runtime: auto` takes in a training of `LENGTH` epochs of so many steps: asked of the first step."""
    if len(runtimes(given)) == 1:
        return runtimes(given)[0]
    training = Training(given, "kdnet", steps, **more)
    training.trainer.add_event_handler(Events.ITERATION_COMPLETED(once=1), training.trainer.interrupt)
    training.trainer.run()
    training.close()
    return training.runtime


def taught_by(runtime: str, auto: str) -> str:
    """How a row says which runtime its teacher has, and that it is the one that counts."""
    return f"teacher in {runtime}" + (" (what teacher_runtime: auto takes here)" if runtime == auto else "")


class Training:
    """A student bundle's training that stops after every epoch.

    Args:
        given: the benchmark's.
        method: `kdnet` or `baseline`.
        steps: per epoch, a round of the benchmark.
        more: configuration id -> value.
    """

    def __init__(self, given: Given, method: str, steps: int, **more: Any) -> None:
        files = [*train_files(STUDENT), overlay(STUDENT, "method", method)]
        # trainings that differ in their runtime alone are one run, and one run has one writer
        given.work.mkdir(parents=True, exist_ok=True)
        folder = tempfile.mkdtemp(dir=given.work, prefix="training-")
        plan = Plan.read("student", STUDENT, files, {**overrides(given, steps), "output_dir": folder, **more})
        self._workflow = workflow_of(plan, "train")
        parser = self._workflow.parser
        parser["plan"] = plan
        with bundle_scripts(SHARED):
            self._workflow.initialize()
            # the last one trains; a student attaches its teacher before
            for number, _ in enumerate(parser.get("run")[:-1]):
                parser.get_parsed_content(f"run#{number}")
            parser.get_parsed_content("train#trainer")
        self.trainer: Engine = parser.get_parsed_content("train#trainer")
        self.config = parser
        self._device = given.device
        self._marks: list[float] = []
        # only the steps: neither validation nor checkpoints are part of the question
        for event in (Events.EPOCH_COMPLETED, Events.COMPLETED):
            self.trainer._event_handlers[event] = []
        self.trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: self._marks.append(time.perf_counter()))
        self.trainer.add_event_handler(Events.EPOCH_COMPLETED, self.trainer.interrupt)

    def epoch(self) -> float:
        """Seconds a step of one more epoch, data loading included: the median; on a GPU, which lags, the mean."""
        self._marks = []
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
            began = time.perf_counter()
            self.trainer.run()
            torch.cuda.synchronize(self._device)
            seconds = (time.perf_counter() - began) / len(self._marks)
        else:
            self.trainer.run()
            seconds = statistics.median(b - a for a, b in pairwise(self._marks))
        # else its thread would import MLflow while the next epoch is timed, or while MONAI lists the modules that there
        # are for another training
        self.config.get_parsed_content("tracker").flush()
        return seconds

    @property
    def runtime(self) -> str:
        """What runs the teacher, as `teacher_runtime` names it; known once an epoch is over."""
        runtime: str = self.trainer.state.facts["teacher_runtime"]
        return runtime

    def close(self) -> None:
        """End the training, or Ignite complains of an engine that nobody finished."""
        self.trainer.remove_event_handler(self.trainer.interrupt, Events.EPOCH_COMPLETED)
        self.trainer.add_event_handler(Events.ITERATION_STARTED, self.trainer.terminate)
        self.trainer.run()
        self.config.get_parsed_content("tracker").close()
