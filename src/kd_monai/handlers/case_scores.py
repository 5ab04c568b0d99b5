"""Scores of every test case, on the grid the case came in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.transforms import LoadImage

from kd_monai.brats import REGIONS, LabelConvention
from kd_monai.metrics import case_row, region_scores
from kd_monai.networks import regions_of


class CaseScoresHandler:
    """Score each case's delivered label map against the reference as it stands on disk.

    Reads the evaluator's decollated ``pred``: a label map ``1 H W D`` (1 core, 2 oedema, 3 enhancing), already inverted
    to the native grid. The regions are those of the map, so that what is scored is what a user gets.

    Args:
        entries: the test entries, ``{"subject", "grade", "label", ...}``.
        convention: how the references count their labels.
        on_row: called with the case's row of the per-case table (`kd_monai.metrics.case_row`).
    """

    def __init__(
        self,
        entries: Sequence[Mapping[str, Any]],
        convention: LabelConvention,
        on_row: Callable[[dict[str, object]], None],
    ) -> None:
        self.entries = {entry["subject"]: entry for entry in entries}
        self.convention, self.on_row = convention, on_row
        self._load = LoadImage(image_only=True)

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
            entry = self.entries[subject]
            reference = self._load(entry["label"])
            label_map = torch.as_tensor(output["pred"]).cpu().round()
            if label_map.shape[1:] != reference.shape:
                raise ValueError(
                    f"A case is scored on its native grid {tuple(reference.shape)}; the prediction of {subject} has "
                    f"{tuple(label_map.shape[1:])}. Invert the preprocessing first (Invertd)."
                )
            label = torch.stack(
                [torch.isin(reference, torch.tensor(self.convention.regions[region])) for region in REGIONS]
            )
            spacing_mm = reference.pixdim.tolist()
            scores = region_scores(regions_of(label_map[None])[0], label, spacing_mm)
            empty = {region: not bool(mask.any()) for region, mask in zip(REGIONS, label, strict=True)}
            self.on_row(case_row(subject, entry.get("grade"), scores, empty, spacing_mm))
