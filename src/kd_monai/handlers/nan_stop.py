"""A loss that is no number ends the run as a failure."""

from __future__ import annotations

import torch
from ignite.engine import Engine
from monai.engines.utils import IterationEvents

from kd_monai.errors import UserError


class NaNLossError(UserError):
    """The training loss became NaN or infinite."""


class RaiseOnNaN:
    """Raise at LOSS_COMPLETED, before the gradients spoil the weights.

    Ignite's TerminateOnNan only ends the loop, and the run would count as finished.

    Raises:
        NaNLossError: the loss is NaN or infinite; the message names the terms that are.
    """

    def attach(self, engine: Engine) -> None:
        """Register at LOSS_COMPLETED."""
        engine.add_event_handler(IterationEvents.LOSS_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Look at one number per step."""
        loss = engine.state.output["loss"]
        if torch.isfinite(loss).all():
            return
        named = getattr(engine.loss_function, "named", {})
        broken = sorted(name for name, value in named.items() if not torch.isfinite(value).all())
        subjects = engine.state.batch.get("subject", "unknown")
        raise NaNLossError(
            f"The loss must be finite; got {loss.item()} at epoch {engine.state.epoch}, iteration "
            f"{engine.state.iteration}, subjects {subjects}, broken terms {broken or 'none by itself'}. "
            "Lower `learning_rate`, set `precision: fp32`, or look at these subjects."
        )
