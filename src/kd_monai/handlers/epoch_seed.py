"""The same random numbers for an epoch, whatever came before it."""

from __future__ import annotations

import hashlib

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
