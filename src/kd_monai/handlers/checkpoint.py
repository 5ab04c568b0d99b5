"""What of a training is kept: its last state, its best weights, and never a state after a loss that is no number."""

from __future__ import annotations

import hashlib
import logging
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from monai.engines.utils import IterationEvents
from torch import nn

from kd_monai.atomic import replacing
from kd_monai.errors import UserError

logger = logging.getLogger(__name__)
_NAME = re.compile(r"epoch_(\d{6})_([0-9a-f]{16})\.pt")


def save_atomically(content: Any, path: Path) -> None:
    """`torch.save` to a temporary file beside the target, flushed to disk, then renamed over it."""
    with replacing(path) as file:
        torch.save(content, file)


def file_digest(path: Path) -> str:
    """The first 16 hexadecimal digits of a file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


class ResumeHandler:
    """Write everything a training needs at every epoch's end, and read the newest sound file at its start.

    The name of a file carries its hash: torch raises on a truncated checkpoint, but loads one with a flipped byte.
    The two newest are kept, so that a damaged one costs an epoch and not the run. Of several processes the first
    writes and all read.

    Args:
        folder: where the files go.
        objects: name -> object with `state_dict` and `load_state_dict`; the engine's epoch and iteration come by
            themselves.

    Attributes:
        resumed_epoch: the epoch that was read at STARTED; 0 for a new run.
    """

    def __init__(self, folder: str | Path, objects: Mapping[str, Any]) -> None:
        self.folder, self.objects = Path(folder), dict(objects)
        self.resumed_epoch = 0

    def attach(self, engine: Engine) -> None:
        """Register at STARTED and EPOCH_COMPLETED; attach after the handlers whose state is saved."""
        engine.add_event_handler(Events.STARTED, self.load)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def _files(self) -> list[Path]:
        return sorted(path for path in self.folder.glob("epoch_*.pt") if _NAME.fullmatch(path.name))

    def __call__(self, engine: Engine) -> None:
        """Save this epoch, then drop all but it and the one before it."""
        if idist.get_rank() > 0:
            return
        content = {name: resumed.state_dict() for name, resumed in self.objects.items()}
        content["engine"] = {"epoch": engine.state.epoch, "iteration": engine.state.iteration}
        temporary = self.folder / "new.pt"
        save_atomically(content, temporary)
        epoch = f"epoch_{engine.state.epoch:06d}"
        saved = temporary.replace(self.folder / f"{epoch}_{file_digest(temporary)}.pt")
        earlier = [path for path in self._files() if path.name < epoch]
        # a later one than this was damaged and passed over: kept, it would push sound ones out
        for old in set(self._files()) - {saved, *earlier[-1:]}:
            old.unlink()

    def load(self, engine: Engine) -> None:
        """Continue from the newest file whose hash holds; a damaged one is passed over with a warning."""
        for path in reversed(self._files()):
            match = _NAME.fullmatch(path.name)
            if match is None or file_digest(path) != match[2]:
                logger.warning(
                    "A checkpoint must have the hash in its name; %s has not, and is passed over for an older one.",
                    path,
                )
                continue
            content = torch.load(path, map_location="cpu", weights_only=True)
            for name, resumed in self.objects.items():
                resumed.load_state_dict(content[name])
            engine.state.epoch = self.resumed_epoch = content["engine"]["epoch"]
            engine.state.iteration = content["engine"]["iteration"]
            logger.info("Continuing after epoch %d of %s.", engine.state.epoch, path)
            return


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
