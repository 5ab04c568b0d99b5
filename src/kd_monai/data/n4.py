"""N4 bias field correction with ITK (Tustison et al. 2010, doi:10.1109/TMI.2010.2046908)."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import MapTransform
from monai.utils import optional_import
from scipy.ndimage import map_coordinates

itk, has_itk = optional_import("itk")

SHRINK = 4
"""The field is estimated on every fourth voxel along an axis, or more of them in a small volume."""


def n4_correct(volume: np.ndarray, spacing_mm: tuple[float, ...], iterations: int = 50) -> np.ndarray:
    """Volume (H, W, D) divided by its smooth bias field; voxels that are 0 are outside the mask and stay 0.

    The field is estimated on every `SHRINK`-th voxel, with at most ``iterations`` at each of 4 levels, and divided
    out at full resolution. It takes seconds to a minute a volume, so cache what it gives.

    Raises:
        ValueError: no voxel above 0.
    """
    mask = volume > 0
    if not mask.any():
        raise ValueError("N4 needs voxels above 0; the volume has none. Leave it out, or load it again.")
    steps = [min(SHRINK, max(1, side // 8)) for side in volume.shape]
    every = tuple(slice(None, None, step) for step in steps)
    image = itk.image_from_array(np.ascontiguousarray(volume[every].T, dtype=np.float32))
    image.SetSpacing([float(size) * step for size, step in zip(spacing_mm, steps, strict=True)])
    inside = itk.image_from_array(np.ascontiguousarray(mask[every].T).astype(np.uint8))
    inside.CopyInformation(image)
    n4 = itk.N4BiasFieldCorrectionImageFilter.New(image, MaskImage=inside)
    n4.SetNumberOfFittingLevels(4)
    n4.SetMaximumNumberOfIterations([iterations] * 4)  # ITK 5.4.7 takes an itk.Array for an empty one
    n4.Update()
    # the field, smooth and defined outside the mask too, rather than N4's output, which has the coarse grid
    log_field = itk.array_from_image(n4.ReconstructBiasField(n4.GetLogBiasFieldControlPointLattice())).T
    indices = [np.arange(side) / step for side, step in zip(volume.shape, steps, strict=True)]
    fine = map_coordinates(log_field, np.meshgrid(*indices, indexing="ij"), mode="nearest")
    return np.where(mask, volume / np.exp(fine), 0).astype(np.float32)


class BiasFieldCorrectiond(MapTransform):
    """N4 on each channel of the images ``C H W D`` of a sample.

    Args:
        keys: of images with metadata.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        for key in self.key_iterator(item):
            spacing_mm = tuple(float(side) for side in item[key].pixdim)
            corrected = [n4_correct(channel.numpy(), spacing_mm) for channel in item[key].as_tensor()]
            item[key] = MetaTensor(torch.from_numpy(np.stack(corrected)), meta=item[key].meta)
        return item
