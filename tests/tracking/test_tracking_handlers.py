from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events

from kd_monai.networks import lay_out
from kd_monai.tracking import TrackingHandler, ValidationTrackingHandler


class Notebook:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.resolved: list[dict[str, str]] = []

    def start(self) -> None:
        self.events.append("start")

    def log_resolved(self, values: dict[str, str]) -> None:
        self.resolved.append(values)

    def log_metrics(self, values: dict[str, float], step: int) -> None:
        self.events.append((step, values))

    def save_durations(self) -> None:
        pass

    def log_durations(self) -> None:
        pass

    def end(self, status: str) -> None:
        self.events.append(status)


def trainer(notebook: Notebook, decollated: bool = False, network: torch.nn.Module | None = None) -> Engine:
    def step(engine: Engine, batch: float) -> Any:
        if batch is None:
            raise RuntimeError("broken batch")
        loss = torch.tensor(batch, requires_grad=True)
        output = {"loss": loss}
        engine.loss_function.named = {"latent_kl": loss.detach() * 2}
        return [output, output] if decollated else output

    engine = Engine(step)
    engine.optimizer = SimpleNamespace(param_groups=[{"lr": 0.1}])
    engine.loss_function = SimpleNamespace(named={})
    engine.network = network or torch.nn.Identity()
    TrackingHandler(notebook).attach(engine)
    return engine


@pytest.mark.parametrize("decollated", [False, True])
def test_an_epoch_is_logged_as_means_of_its_steps(decollated: bool) -> None:
    notebook = Notebook()
    trainer(notebook, decollated).run([1.0, 2.0, 6.0], max_epochs=2)
    start, (first, values), (second, _) = notebook.events
    assert (start, first, second) == ("start", 1, 2)
    assert values["train/loss"] == pytest.approx(3.0)
    assert values["train/loss/latent_kl"] == pytest.approx(6.0)
    assert 0 < values["train/seconds_per_step"] < 1


def test_the_learning_rate_is_the_one_the_epoch_was_trained_with() -> None:
    notebook = Notebook()
    engine = trainer(notebook)

    @engine.on(Events.ITERATION_COMPLETED)
    def schedule(engine: Engine) -> None:
        engine.optimizer.param_groups[0]["lr"] *= 0.5

    engine.run([1.0], max_epochs=2)
    assert [values["train/lr"] for _, values in notebook.events[1:]] == [0.1, 0.05]


@pytest.mark.parametrize("memory_format", ["channels_last", "contiguous"])
def test_what_settings_came_to_is_told_behind_every_handler_of_the_start(memory_format: Any) -> None:
    network = lay_out(torch.nn.Conv3d(2, 2, 3), "cpu", memory_format)
    notebook = Notebook()
    engine = trainer(notebook, network=network)

    @engine.on(Events.STARTED)
    def settle(engine: Engine) -> None:
        engine.state.facts = {"teacher_runtime": "openvino"}

    engine.run([1.0], max_epochs=2)
    assert notebook.resolved == [{"memory_format": memory_format, "teacher_runtime": "openvino"}] * 2


def test_an_exception_goes_on_to_whoever_ends_the_run() -> None:
    notebook = Notebook()
    with pytest.raises(RuntimeError, match="broken batch"):
        trainer(notebook).run([1.0, None], max_epochs=1)
    assert notebook.events == ["start"]


def test_validation_is_logged_by_name_at_the_trainers_epoch() -> None:
    notebook = Notebook()
    evaluator = Engine(lambda engine, batch: batch)
    ValidationTrackingHandler(notebook).attach(evaluator)

    @evaluator.on(Events.EPOCH_COMPLETED)
    def score(engine: Engine) -> None:
        engine.state.metrics = {"dice_mean": 0.5, "dice_ET": torch.tensor(0.25), "curve": torch.zeros(3)}
        engine.state.epoch = 7  # MONAI's evaluator counts with its trainer

    evaluator.run([0])
    assert notebook.events == [(7, {"val/dice_mean": 0.5, "val/dice_ET": 0.25})]
