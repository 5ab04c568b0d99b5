"""When a training validates, and what its learning rate's schedule is told."""

from __future__ import annotations

from typing import Any

from ignite.engine import Engine


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
