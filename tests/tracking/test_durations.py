"""A run's folder tells how long each phase took, also where several processes worked on it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from ignite.engine import Engine, Events

from kd_monai.phases import stopwatch
from kd_monai.tracking import Tracker, TrackingHandler, ValidationTrackingHandler, add_durations, read_durations


@pytest.fixture(autouse=True)
def anew() -> None:
    stopwatch.leave(0)  # what another test's trainer never left
    stopwatch.take()


def test_a_folder_without_figures_has_none(tmp_path: Path) -> None:
    assert read_durations(tmp_path) == {}


def test_what_is_added_adds_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spent = [{"training": 1.5, "wall": 2.0}, {"training": 1.0, "scoring": 3.0, "wall": 4.25}]
    monkeypatch.setattr(stopwatch, "take", lambda: spent.pop(0))
    add_durations(tmp_path)
    assert add_durations(tmp_path) == read_durations(tmp_path) == {"training": 2.5, "scoring": 3.0, "wall": 6.25}


def test_training_and_validation_are_phases_of_their_own_saved_at_every_epoch(out: Path) -> None:
    tracker = Tracker(out / "run", "brats", "run", {}, {})
    evaluator = Engine(lambda engine, batch: None)
    ValidationTrackingHandler(tracker).attach(evaluator)
    trainer = Engine(lambda engine, batch: {"loss": torch.tensor(1.0)})
    trainer.optimizer = SimpleNamespace(param_groups=[{"lr": 0.1}])
    trainer.loss_function, trainer.network = SimpleNamespace(named={}), torch.nn.Identity()
    TrackingHandler(tracker).attach(trainer)
    seen = []

    @trainer.on(Events.EPOCH_COMPLETED)
    def validate(engine: Engine) -> None:
        seen.append(read_durations(tracker.folder))
        evaluator.run([0])

    trainer.run([1.0], max_epochs=2)
    tracker.end()
    assert ["validation" in durations for durations in seen] == [False, True]
    durations = read_durations(tracker.folder)
    assert set(durations) >= {"training", "validation", "wall"}
    assert sum(durations.values()) - durations["wall"] <= durations["wall"] + 0.002
    lines = [json.loads(line) for line in (tracker.folder / "journal.jsonl").read_text().splitlines()]
    told = {key: value for line in lines if line["op"] == "metrics" for key, value in line["values"].items()}
    assert told["seconds/training"] == durations["training"]  # it was over when it was told
    assert "seconds/wall" not in told
