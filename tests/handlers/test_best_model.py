"""The weights of the best validation, and no others, are on disk."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from ignite.engine import Engine, Events
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import ValidationHandler
from torch import nn

from kd_monai.handlers import BestModelHandler


def validator(handler: BestModelHandler, dice: list[float]) -> Engine:
    """An engine whose n-th run scores dice[n]; each run leaves its number in the weights."""
    values = iter(dice)
    engine = Engine(lambda engine, batch: None)

    @engine.on(Events.EPOCH_COMPLETED)
    def score(engine: Engine) -> None:
        with torch.no_grad():
            handler.network.weight += 1
        engine.state.metrics["dice_mean"] = next(values)

    handler.attach(engine)
    return engine


def network() -> nn.Linear:
    layer = nn.Linear(1, 1)
    nn.init.zeros_(layer.weight)
    return layer


def saved(path: Path) -> float:
    return torch.load(path, weights_only=True)["weight"].item()


def test_the_highest_dice_stays_and_the_first_of_equals(tmp_path: Path) -> None:
    handler = BestModelHandler(network(), tmp_path / "run" / "model.pt")
    engine = validator(handler, [0.2, 0.5, 0.5, 0.4, float("nan")])
    for expected in (1, 2, 2, 2, 2):
        engine.run([0])
        assert saved(handler.path) == expected
    assert handler.best == 0.5


def test_a_dice_of_zero_is_better_than_none(tmp_path: Path) -> None:
    handler = BestModelHandler(network(), tmp_path / "model.pt")
    validator(handler, [0.0]).run([0])
    assert saved(handler.path) == 1


def test_a_resumed_handler_does_not_replace_a_better_model(tmp_path: Path) -> None:
    first = BestModelHandler(network(), tmp_path / "model.pt")
    validator(first, [0.9]).run([0])
    second = BestModelHandler(network(), tmp_path / "model.pt")
    second.load_state_dict(first.state_dict())
    engine = validator(second, [0.1, 0.8, 0.95])
    for _ in range(2):
        engine.run([0])
    assert saved(second.path) == 1
    engine.run([0])
    assert saved(second.path) == 3


def test_the_epoch_is_the_trainers(tmp_path: Path) -> None:
    layer = nn.Conv3d(1, 1, 1)
    handler = BestModelHandler(layer, tmp_path / "model.pt")
    batch = {"image": torch.zeros(1, 1, 2, 2, 2), "label": torch.zeros(1, 1, 2, 2, 2)}
    evaluator = SupervisedEvaluator(device=torch.device("cpu"), val_data_loader=[batch], network=layer)
    evaluator.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: engine.state.metrics.update(dice_mean=0.5))
    handler.attach(evaluator)
    SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=3,
        train_data_loader=[batch],
        network=layer,
        optimizer=torch.optim.SGD(layer.parameters(), 0.1),
        loss_function=nn.MSELoss(),
        train_handlers=[ValidationHandler(2, evaluator)],
    ).run()
    assert handler.epoch == 2


def test_keys_are_those_of_the_plain_network_even_if_a_compiled_one_trains(tmp_path: Path) -> None:
    """torch.compile's wrapper would prefix every key with _orig_mod."""
    plain = network()
    assert all(name.startswith("_orig_mod.") for name in torch.compile(plain).state_dict())
    handler = BestModelHandler(plain, tmp_path / "model.pt")
    validator(handler, [0.5]).run([0])
    assert set(torch.load(handler.path, weights_only=True)) == {"weight", "bias"}


def test_a_metric_that_nobody_computes_is_named_with_those_there_are(tmp_path: Path) -> None:
    handler = BestModelHandler(network(), tmp_path / "model.pt", metric="dice_XY")
    with pytest.raises(KeyError, match=r"dice_XY.*dice_mean"):
        validator(handler, [0.5]).run([0])
