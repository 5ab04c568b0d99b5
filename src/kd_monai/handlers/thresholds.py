"""Thresholds of a run's probabilities, chosen on its validation part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from ignite.engine import Engine, Events

from kd_monai.handlers.native_reference import NativeReference
from kd_monai.metrics import ThresholdChoice
from kd_monai.task import LabelConvention


class ThresholdHandler:
    """Show every case of a validation to a `ThresholdChoice`.

    Reads the evaluator's decollated ``probabilities``, ``3 H W D`` (TC, WT, ET) on the native grid.

    Args:
        entries: the validation entries, ``{"subject", "label", ...}``.
        convention: how the references count their labels.
        choice: what chooses.
    """

    def __init__(
        self, entries: Sequence[Mapping[str, Any]], convention: LabelConvention, choice: ThresholdChoice
    ) -> None:
        self.reference, self.choice = NativeReference(entries, convention), choice

    def attach(self, engine: Engine) -> None:
        """Register at ITERATION_COMPLETED, after postprocessing."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Show every item of the batch.

        Raises:
            ValueError: prediction and reference have different grids.
        """
        for item, output in zip(engine.state.batch, engine.state.output, strict=True):
            probabilities = torch.as_tensor(output["probabilities"]).cpu()
            label, _ = self.reference(item["subject"], probabilities.shape[1:])
            self.choice.add(probabilities, label)
