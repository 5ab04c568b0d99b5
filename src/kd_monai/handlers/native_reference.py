"""References of cases as they stand on disk, on the grid that a prediction of them must have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from monai.transforms import LoadImage
from torch import Tensor

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
        self._load = LoadImage(image_only=True)

    def __call__(self, subject: str, shape: Sequence[int]) -> tuple[Tensor, list[float]]:
        """Masks bool ``3 H W D`` (TC, WT, ET) and the voxel sides in mm.

        Args:
            subject: of one of the entries.
            shape: ``(H, W, D)`` of the prediction.

        Raises:
            ValueError: prediction and reference have different grids.
        """
        reference = self._load(self.entries[subject]["label"])
        if tuple(shape) != tuple(reference.shape):
            raise ValueError(
                f"A case is scored on its native grid {tuple(reference.shape)}; the prediction of {subject} has "
                f"{tuple(shape)}. Invert the preprocessing first (Invertd)."
            )
        values = self.convention.regions
        masks = torch.stack([torch.isin(reference.as_tensor(), torch.tensor(values[region])) for region in REGIONS])
        return masks, reference.pixdim.tolist()
