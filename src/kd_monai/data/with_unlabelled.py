"""Labelled and unlabelled samples as one data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.data import Dataset

from kd_monai.data.cropped_volume import CroppedVolume

LABELLED = "labelled"
"""Key of a sample: 1 where its label is a reference, 0 where it is somebody's guess."""


class WithUnlabelled(Dataset):
    """The labelled samples, then the unlabelled ones with labels that somebody gave them; `LABELLED` tells them apart.

    Args:
        labelled: samples with ``image`` and ``label``.
        unlabelled: samples with ``image``.
        labels: of the unlabelled ones, uint8 with values 0, 1, 2, 4 on the image's grid.

    Raises:
        ValueError: not every unlabelled sample has a label.
    """

    def __init__(self, labelled: Dataset, unlabelled: Dataset, labels: Sequence[CroppedVolume]) -> None:
        if len(unlabelled) != len(labels):
            raise ValueError(f"Every unlabelled sample needs a label: got {len(labels)} for {len(unlabelled)}.")
        self.labelled, self.unlabelled, self.labels = labelled, unlabelled, list(labels)

    def __len__(self) -> int:
        return len(self.labelled) + len(self.unlabelled)

    def __getitem__(self, number: int) -> dict[str, Any]:
        if number < len(self.labelled):
            return {**self.labelled[number], LABELLED: torch.tensor(True)}
        sample, label = self.unlabelled[number - len(self.labelled)], self.labels[number - len(self.labelled)]
        voxels = torch.zeros((1, *label.shape), dtype=torch.uint8)
        label.paste(voxels[0], ((0, 0, 0), label.shape))
        return {**sample, "label": voxels, LABELLED: torch.tensor(False)}
