"""The schedule of each recipe, as its YAML wires it, is what the optimiser really gets, epoch by epoch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events
from monai.bundle import ConfigParser
from monai.engines import SupervisedTrainer
from torch import nn
from torch.optim.lr_scheduler import PolynomialLR, ReduceLROnPlateau

from kd_monai.config.overlays import SHARED, STUDENT, TEACHER, train_files

both = pytest.mark.parametrize("bundle", [TEACHER, STUDENT], ids=lambda path: path.name)


def configuration(bundle: Path, recipe: str) -> dict[str, Any]:
    return ConfigParser.load_config_files([*train_files(bundle), SHARED / "recipes" / f"{recipe}.yaml"])


class TrainedAsWired:
    """The YAML's optimiser, schedule and schedule handler in MONAI's trainer, around a network of one number.

    Args:
        bundle, recipe: which files.
        epochs: in place of the recipe's.
        val_loss: epoch -> the loss that validation leaves in the evaluator's metrics.
    """

    def __init__(self, bundle: Path, recipe: str, epochs: int, val_loss: Callable[[int], float]) -> None:
        config = configuration(bundle, recipe)
        self.parser = ConfigParser(config)
        self.validator = SimpleNamespace(state=SimpleNamespace(metrics={}))
        self.network = nn.Conv3d(1, 3, 1, bias=False)
        self.parser.update(
            {
                "epochs": epochs,
                "device": "cpu",
                "network": self.network,
                "loss": nn.MSELoss(),  # the student's is built with its teacher, whom no schedule asks for
                "validate#evaluator": self.validator,
            }
        )
        (number,) = [
            i for i, item in enumerate(config["train"]["handlers"]) if item.get("_target_") == "LrScheduleHandler"
        ]
        self.lr: list[float] = []
        trainer = SupervisedTrainer(
            device=torch.device("cpu"),
            max_epochs=epochs,
            train_data_loader=[{"image": torch.ones(1, 1, 2, 2, 2), "label": torch.ones(1, 3, 2, 2, 2)}] * 2,
            network=self.network,
            optimizer=self.parser.get_parsed_content("optimizer"),
            loss_function=nn.MSELoss(),
            decollate=False,
        )

        @trainer.on(Events.EPOCH_COMPLETED)
        def validate(engine: Engine) -> None:
            self.validator.state.metrics["loss"] = val_loss(engine.state.epoch)

        self.parser.get_parsed_content(f"train#handlers#{number}").attach(trainer)

        @trainer.on(Events.ITERATION_COMPLETED)
        def note(engine: Engine) -> None:
            self.lr.append(engine.optimizer.param_groups[0]["lr"])

        trainer.run()


@both
@pytest.mark.parametrize("recipe", ["quick", "study"])
def test_the_rate_falls_along_the_polynomial_to_zero_at_the_end(bundle: Path, recipe: str) -> None:
    epochs = 10
    trained = TrainedAsWired(bundle, recipe, epochs, val_loss=lambda epoch: 1.0)
    start = trained.parser["learning_rate"]
    expected = [start * (1 - epoch / epochs) ** 0.9 for epoch in range(epochs)]
    assert trained.lr == pytest.approx([lr for lr in expected for _ in range(2)])


def lr_of_torch(make: Callable[[torch.optim.Optimizer], Any], start: float, losses: list[float] | None, n: int) -> Any:
    """What torch's scheduler does, stepped by hand."""
    optimizer = torch.optim.Adam([nn.Parameter(torch.ones(1))], start)
    scheduler, seen = make(optimizer), []
    for epoch in range(n):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step(*([losses[epoch]] if losses else []))
    return seen


def test_the_polynomial_is_torchs() -> None:
    trained = TrainedAsWired(STUDENT, "quick", 8, val_loss=lambda epoch: 1.0)
    expected = lr_of_torch(
        lambda optimizer: PolynomialLR(optimizer, total_iters=8, power=0.9), trained.parser["learning_rate"], None, 8
    )
    assert trained.lr[::2] == pytest.approx(expected)


@both
def test_the_papers_rate_falls_to_a_fifth_after_50_epochs_without_a_lower_validation_loss(bundle: Path) -> None:
    """The validation loss falls for 20 epochs and then no more."""

    def val_loss(epoch: int) -> float:
        return 1.0 - 0.01 * min(epoch, 20)

    trained = TrainedAsWired(bundle, "paper", 130, val_loss)
    by_epoch = trained.lr[::2]
    assert by_epoch[:71] == [1e-4] * 71  # the best epoch, 50 that are allowed, and the one that is too many
    assert by_epoch[71:122] == pytest.approx([2e-5] * 51)
    assert by_epoch[122:] == pytest.approx([4e-6] * 8)
    expected = lr_of_torch(
        lambda optimizer: ReduceLROnPlateau(optimizer, factor=0.2, patience=50),
        1e-4,
        [val_loss(epoch) for epoch in range(1, 131)],
        130,
    )
    assert by_epoch == pytest.approx(expected)


@both
def test_the_schedule_and_the_trainer_have_one_optimiser(bundle: Path) -> None:
    """Rebuilt anywhere, its moments would be forgotten and its schedule would turn an idle wheel."""
    trained = TrainedAsWired(bundle, "quick", 3, val_loss=lambda epoch: 1.0)
    optimizer = trained.parser.get_parsed_content("optimizer")
    assert trained.parser.get_parsed_content("lr_scheduler").optimizer is optimizer
    assert trained.parser["train"]["trainer"]["optimizer"] == "@optimizer"
    (state,) = optimizer.state.values()
    assert state["step"].item() == 3 * 2


@both
def test_the_watched_loss_is_computed_before_the_schedule_steps_and_in_every_epoch(bundle: Path) -> None:
    config = configuration(bundle, "paper")
    order = [item.get("_target_") for item in config["train"]["handlers"]]
    assert order.index("ValidationHandler") < order.index("LrScheduleHandler")
    # what is saved is the rate of the next epoch
    assert order.index("LrScheduleHandler") < order.index("kd_monai.handlers.ResumeHandler")
    assert config["validate"]["evaluator"]["additional_metrics"]["loss"]["_target_"] == "IgniteMetricHandler"
    assert config["val_every"] == 1
