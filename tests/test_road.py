"""A command walks down the rooms once: few files are entered before the first step, and no configuration after it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

import pytest
import tiny
from ignite.engine import Engine, Events

import kd_monai

SOURCE = str(Path(kd_monai.__file__).parent)


class Road:
    """The library's files whose functions are called, before the first step of a training and from it to its end."""

    def __init__(self) -> None:
        self.before: list[str] = []  # a file for each change of file
        self.during: set[str] = set()
        self.training = False
        self.over = False

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        """For `sys.setprofile`."""
        name = frame.f_code.co_filename
        if event != "call" or self.over or not name.startswith(SOURCE) or frame.f_code.co_name == "<module>":
            return
        file = name[len(SOURCE) + 1 :]
        if self.training:
            self.during.add(file)
        elif self.before[-1:] != [file]:
            self.before.append(file)

    def watch(self, run: Callable[..., Any]) -> Callable[..., Any]:
        """`Engine.run` of a trainer that tells of its first step and its end."""

        def watched(engine: Engine, *arguments: Any, **settings: Any) -> Any:
            if not hasattr(engine, "optimizer"):  # an evaluator
                return run(engine, *arguments, **settings)
            first = engine.add_event_handler(Events.ITERATION_STARTED, lambda: setattr(self, "training", True))
            try:
                return run(engine, *arguments, **settings)
            finally:
                self.over = True
                first.remove()

        return watched


@pytest.fixture(scope="module")
def road(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    out = tmp_path_factory.mktemp("road") / "runs"
    assert tiny.command("teacher", tiny.words(data=str(phantom), out=str(out))) == 0
    road = Road()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Engine, "run", road.watch(Engine.run))
        sys.setprofile(road)
        try:
            status = tiny.command("student", tiny.words(data=str(phantom), out=str(out), modality="t1ce"))
        finally:
            sys.setprofile(None)
    assert status == 0
    assert [json.loads(file.read_text())["role"] for file in out.glob("kdnet*/run.json")] == ["student"]
    return SimpleNamespace(before=road.before, during=road.during)


@pytest.mark.slow
def test_a_student_enters_at_most_forty_files_before_its_first_step(road: SimpleNamespace) -> None:
    files = list(dict.fromkeys(road.before))
    assert files[:3] == ["__main__.py", "config/errors.py", "config/variables.py"]
    assert len(files) <= 40, files
    assert len(road.before) < 850  # changes of file; 2,180 before there were rooms


@pytest.mark.slow
def test_no_file_of_the_configuration_is_entered_while_it_trains(road: SimpleNamespace) -> None:
    assert {"handlers/teacher.py", "losses/loss.py"} <= road.during
    assert not [file for file in road.during if file.startswith("config/")]
