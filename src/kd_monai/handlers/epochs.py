"""What depends on an epoch's number: its random numbers, whether it validates, what the schedule is told."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from ignite.engine import Engine, Events


class EpochSeedHandler:
    """Seed torch from (seed, epoch) and tell the sampler the epoch, at EPOCH_STARTED.

    Dropout and the order of subjects then depend on neither an interruption nor on what else was built before the
    training: MONAI's `set_determinism` at a resumed start would replay the first epochs' shuffle.

    Args:
        seed: of the run.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def attach(self, engine: Engine) -> None:
        """Register at EPOCH_STARTED: the epoch's iterator over the data is made after it."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Seed every torch generator."""
        digest = hashlib.sha256(f"{self.seed}/{engine.state.epoch}".encode()).digest()
        torch.manual_seed(int.from_bytes(digest[:4], "little"))
        set_epoch = getattr(getattr(engine.state.dataloader, "sampler", None), "set_epoch", None)
        if set_epoch is not None:
            set_epoch(engine.state.epoch)


def validation_interval(epochs: int, val_every: int) -> int:
    """The largest divisor of ``epochs`` up to ``val_every``: the last epoch is validated.

    >>> validation_interval(6, 4), validation_interval(7, 2)
    (3, 1)
    """
    return max(n for n in range(1, min(val_every, epochs) + 1) if epochs % n == 0)


class ScheduleMetric:
    """For LrScheduleHandler: a validation metric for a schedule that watches one, or nothing.

    Args:
        evaluator: None: the schedule counts epochs.
        name: of the evaluator's metric.
    """

    def __init__(self, evaluator: Engine | None = None, name: str = "loss") -> None:
        self.evaluator, self.name = evaluator, name

    def __call__(self, engine: Engine) -> Any:
        """Arguments of the schedule's step."""
        return () if self.evaluator is None else self.evaluator.state.metrics[self.name]
