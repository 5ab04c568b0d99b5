"""Region masks from the cached label, made at every visit: cached, they would take three times the memory."""

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.transforms import CastToTyped, ConvertToMultiChannelBasedOnBratsClasses, Transform


class LabelToRegions(Transform):
    """Replaces ``label`` (1, ...) with values 0, 1, 2, 4 by float32 masks (3, ...) of TC, WT, ET."""

    def __init__(self) -> None:
        self.convert = ConvertToMultiChannelBasedOnBratsClasses(et_label=4)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        # MONAI gives bool, on which its losses with squares stop
        return {**data, "label": self.convert(data["label"]).to(torch.float32)}


def region_transforms(with_label: bool = True) -> list[Any]:
    """What validation does to a cached sample: float32 and, with a label, its regions; operations stay traced."""
    return [CastToTyped("image", dtype=torch.float32), *([LabelToRegions()] if with_label else [])]
