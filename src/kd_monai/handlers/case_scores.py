"""Scores of every test case, on the grid the case came in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import Tensor

from kd_monai.handlers.native_reference import NativeReference
from kd_monai.metrics import ThresholdChoice, calibration, case_row, region_scores
from kd_monai.networks import compose_label_map, regions_of
from kd_monai.task import REGIONS, LabelConvention


class CaseScoresHandler:
    """Score each case's delivered label map against the reference as it stands on disk.

    Reads the evaluator's decollated ``pred``: a label map ``1 H W D`` (1 core, 2 oedema, 3 enhancing), already inverted
    to the native grid. The regions are those of the map, so that what is scored is what a user gets.

    With a choice of thresholds it reads ``probabilities`` (``3 H W D``: TC, WT, ET) and ``brain`` (``1 H W D``) too:
    ``tuned_dice`` and ``tuned_hd95`` are those of the label map at the chosen thresholds, ET over TC over WT, so that
    regions stay nested; ``ece`` and ``brier`` are those of the probabilities inside the brain.

    Args:
        entries: the test entries, ``{"subject", "grade", "label", ...}``.
        convention: how the references count their labels.
        on_row: called with the case's row of the per-case table (`kd_monai.metrics.case_row`).
        thresholds: what was chosen on other cases before.
    """

    def __init__(
        self,
        entries: Sequence[Mapping[str, Any]],
        convention: LabelConvention,
        on_row: Callable[[dict[str, object]], None],
        thresholds: ThresholdChoice | None = None,
    ) -> None:
        self.entries = {entry["subject"]: entry for entry in entries}
        self.reference = NativeReference(entries, convention)
        self.on_row, self.thresholds = on_row, thresholds

    def attach(self, engine: Engine) -> None:
        """Register at ITERATION_COMPLETED, after postprocessing."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Score every item of the batch.

        Raises:
            ValueError: prediction and reference have different grids.
        """
        for item, output in zip(engine.state.batch, engine.state.output, strict=True):
            subject = item["subject"]
            label_map = torch.as_tensor(output["pred"]).cpu().round()
            label, spacing_mm = self.reference(subject, label_map.shape[1:])
            scores = region_scores(regions_of(label_map[None])[0], label, spacing_mm)
            if self.thresholds is not None:
                probabilities, brain = (torch.as_tensor(output[name]).cpu() for name in ("probabilities", "brain"))
                scores |= calibration(probabilities, label, brain > 0.5)
                tuned = region_scores(_masks(probabilities, self.thresholds.chosen), label, spacing_mm)
                scores |= {f"tuned_{metric}": tuned[metric] for metric in ("dice", "hd95")}
            empty = {region: not bool(mask.any()) for region, mask in zip(REGIONS, label, strict=True)}
            self.on_row(case_row(subject, self.entries[subject].get("grade"), scores, empty, spacing_mm))


def _masks(probabilities: Tensor, thresholds: Mapping[str, float]) -> Tensor:
    """Nested masks ``3 H W D``."""
    above = torch.stack([p > thresholds[region] for region, p in zip(REGIONS, probabilities, strict=True)])
    return regions_of(compose_label_map(above[None]))[0]
