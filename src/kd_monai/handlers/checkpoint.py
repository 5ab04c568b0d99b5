"""Resume a training at an epoch's end, exactly."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events

from kd_monai.atomic import replacing

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
