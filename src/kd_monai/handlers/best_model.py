"""The weights with the best validation Dice."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import ignite.distributed as idist
from ignite.engine import Engine, Events
from torch import nn

from kd_monai.handlers.checkpoint import save_atomically


class BestModelHandler:
    """Write the network's state_dict whenever a validation metric rises above its best.

    Of several processes the first writes.

    Args:
        network: the plain module (not a compiled one: its keys would carry a prefix).
        path: where the weights go, atomically.
        metric: key of the evaluator's metrics.
    """

    def __init__(self, network: nn.Module, path: str | Path, metric: str = "dice_mean") -> None:
        self.network, self.path, self.metric = network, Path(path), metric
        self.best, self.epoch = -math.inf, 0

    def attach(self, engine: Engine) -> None:
        """Register on the evaluator at COMPLETED; its epoch is the trainer's under MONAI's ValidationHandler."""
        engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Compare and save.

        Raises:
            KeyError: the evaluator has no such metric.
        """
        if self.metric not in engine.state.metrics:
            raise KeyError(
                f"The best model is chosen by {self.metric!r}; the evaluator has {sorted(engine.state.metrics)}. "
                "Attach the metric to it or name another."
            )
        value = float(engine.state.metrics[self.metric])
        if value > self.best:
            self.best, self.epoch = value, engine.state.epoch
            if idist.get_rank() == 0:
                save_atomically(self.network.state_dict(), self.path)

    def state_dict(self) -> dict[str, Any]:
        """Best value and its epoch."""
        return {"best": self.best, "epoch": self.epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up where `state_dict` left."""
        self.best, self.epoch = state["best"], state["epoch"]
