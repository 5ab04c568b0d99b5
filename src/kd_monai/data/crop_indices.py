"""Where a training patch may be centred, without listing every voxel."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from monai.transforms import Transform

TUMOUR, ANYWHERE = "tumour_indices", "any_indices"


class EveryIndex:
    """The numbers below ``size``, one by one; MONAI would make an array of a ``range``."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, number: int) -> int:
        return int(number)


class CropIndices(Transform):
    """Adds the flat indices of tumour voxels, and of all, as RandCropByPosNegLabeld takes them: the same draws follow.

    Left to itself it lists every voxel's index at every visit, 8 bytes each. For a label of uint8 its "background" is
    all of the volume, tumour included (MONAI 1.6.1 inverts the bits of 1, which leaves no 0), and so it is here.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        label = data["label"].numpy().reshape(-1)
        return {**data, TUMOUR: np.flatnonzero(label != 0), ANYWHERE: EveryIndex(label.size)}
