"""What is asked of every case on the grid it came in: its scores, or a threshold of its probabilities."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.transforms import LoadImage
from torch import Tensor

from kd_monai.data import VolumeReader
from kd_monai.errors import UserError
from kd_monai.metrics import ThresholdChoice, calibration, case_row, region_scores
from kd_monai.networks import compose_label_map, regions_of
from kd_monai.task import REGIONS, LabelConvention


class NativeReference:
    """Reads the region masks of a case when asked for.

    Args:
        entries: ``{"subject", "label": path, ...}``.
        convention: how the files count their labels.
    """

    def __init__(self, entries: Sequence[Mapping[str, Any]], convention: LabelConvention) -> None:
        self.entries = {entry["subject"]: entry for entry in entries}
        self.convention = convention
        self._load = LoadImage(VolumeReader(), image_only=True)  # verifies checksums

    def __call__(self, subject: str, shape: Sequence[int]) -> tuple[Tensor, list[float]]:
        """Masks bool ``3 H W D`` (TC, WT, ET) and the voxel sides in mm.

        Args:
            subject: of one of the entries.
            shape: ``(H, W, D)`` of the prediction.

        Raises:
            UserError: prediction and reference have different grids.
        """
        reference = self._load(self.entries[subject]["label"])
        if tuple(shape) != tuple(reference.shape):
            raise UserError(
                f"A case is scored on its native grid {tuple(reference.shape)}; the prediction of {subject} has "
                f"{tuple(shape)}. Invert the preprocessing first (Invertd)."
            )
        values = self.convention.regions
        masks = torch.stack([torch.isin(reference.as_tensor(), torch.tensor(values[region])) for region in REGIONS])
        return masks, reference.pixdim.tolist()


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
            UserError: prediction and reference have different grids.
        """
        for item, output in zip(engine.state.batch, engine.state.output, strict=True):
            probabilities = torch.as_tensor(output["probabilities"]).cpu()
            label, _ = self.reference(item["subject"], probabilities.shape[1:])
            self.choice.add(probabilities, label)


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
            UserError: prediction and reference have different grids.
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
