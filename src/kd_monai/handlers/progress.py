"""One bar for a whole training or test, with an estimate of the time left."""

from __future__ import annotations

import math
import sys

import ignite.distributed as idist
from ignite.engine import Engine, Events
from tqdm import tqdm


class ProgressHandler:
    """A bar over all steps of a run: last loss, latest validation Dice, time left.

    Where standard error is no terminal it writes one line per epoch, which keeps logs readable.

    Args:
        description: in front of the bar.
        validator: engine whose latest `dice_mean` is shown.
        unit: what an iteration is.
    """

    def __init__(self, description: str, validator: Engine | None = None, unit: str = "step") -> None:
        self.description, self.validator, self.unit = description, validator, unit
        self._bar: tqdm | None = None

    def attach(self, engine: Engine) -> None:
        """Register; of several processes the first shows a bar."""
        if idist.get_rank() > 0:
            return
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.step)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.epoch)
        engine.add_event_handler(Events.COMPLETED, self.close)

    def _open(self, engine: Engine) -> tqdm:
        total = engine.state.max_epochs * engine.state.epoch_length
        quiet = not sys.stderr.isatty()
        return tqdm(
            total=total,
            initial=engine.state.iteration,
            desc=self.description,
            unit=self.unit,
            position=0,  # else it stands below the bar of a run that failed before it in this process
            mininterval=math.inf if quiet else 0.5,
            maxinterval=math.inf if quiet else 10,
        )

    def step(self, engine: Engine) -> None:
        """Count a step; the loss is read once an epoch, so that no device waits for it.

        The first one of a run opens the bar: by then handlers have resumed what they resume, networks that do not fit
        have been refused, and what only a first step costs is no part of the estimate.
        """
        if self._bar is None:
            self._bar = self._open(engine)
        else:
            self._bar.update()

    def epoch(self, engine: Engine) -> None:
        """Show the epoch's last loss and the latest validation Dice."""
        if self._bar is None:
            return
        shown = {}
        if engine.state.max_epochs > 1:
            shown["epoch"] = f"{engine.state.epoch}/{engine.state.max_epochs}"
        if isinstance(engine.state.output, dict) and "loss" in engine.state.output:
            shown["loss"] = f"{engine.state.output['loss'].item():.3f}"
        if self.validator is not None and "dice_mean" in self.validator.state.metrics:
            shown["val_dice"] = f"{self.validator.state.metrics['dice_mean']:.3f}"
        self._bar.set_postfix(shown, refresh=False)
        self._bar.refresh()
        if not sys.stderr.isatty():
            sys.stderr.write("\n")

    def close(self, engine: Engine) -> None:
        """Leave the finished bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
