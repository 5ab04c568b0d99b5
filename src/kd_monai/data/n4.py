"""N4 bias field correction with ITK (Tustison et al. 2010, doi:10.1109/TMI.2010.2046908)."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from monai.utils import optional_import

itk, has_itk = optional_import("itk")


def n4_correct(volume: np.ndarray, spacing_mm: tuple[float, ...], shrink: int = 4, iterations: int = 50) -> np.ndarray:
    """Volume (H, W, D) divided by its smooth bias field; voxels that are 0 are outside the mask and stay 0.

    The field is estimated on a grid ``shrink`` times coarser, with ``iterations`` at each of 4 levels, and divided out
    at full resolution.

    Raises:
        ValueError: no voxel above 0.
    """
    mask = volume > 0
    if not mask.any():
        raise ValueError("N4 needs voxels above 0; the volume has none. Leave it out, or load it again.")
    image = itk.image_from_array(np.ascontiguousarray(volume.T, dtype=np.float32))
    image.SetSpacing([float(size) for size in spacing_mm])
    inside = itk.image_from_array(np.ascontiguousarray(mask.T).astype(np.uint8))
    inside.CopyInformation(image)
    factors = [min(shrink, max(1, side // 8)) for side in volume.shape]
    n4 = itk.N4BiasFieldCorrectionImageFilter.New(
        itk.shrink_image_filter(image, shrink_factors=factors),
        MaskImage=itk.shrink_image_filter(inside, shrink_factors=factors),
    )
    n4.SetNumberOfFittingLevels([4])
    n4.SetMaximumNumberOfIterations([iterations] * 4)
    n4.Update()
    # the full-resolution field from the coarse control points, as ITK's own documentation advises
    reconstructer = itk.BSplineControlPointImageFilter.New(n4.GetLogBiasFieldControlPointLattice())
    reconstructer.SetSplineOrder(n4.GetSplineOrder())
    reconstructer.SetSize(itk.size(image))
    reconstructer.SetOrigin(image.GetOrigin())
    reconstructer.SetDirection(image.GetDirection())
    reconstructer.SetSpacing(image.GetSpacing())
    reconstructer.Update()
    log_field = itk.array_from_image(reconstructer.GetOutput())
    log_field = log_field.reshape(log_field.shape[:3]).T
    return np.where(mask, volume / np.exp(log_field), 0).astype(np.float32)


class N4BiasFieldCorrectiond(MapTransform):
    """N4 on every channel of an image (C, H, W, D); it takes seconds to a minute a volume, so cache what it gives."""

    def __init__(self, keys: KeysCollection, shrink: int = 4, iterations: int = 50, allow_missing_keys: bool = False):
        super().__init__(keys, allow_missing_keys)
        self.shrink = shrink
        self.iterations = iterations

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        for key in self.key_iterator(item):
            image = item[key].clone()
            spacing = tuple(float(size) for size in image.pixdim)
            for channel in range(image.shape[0]):
                volume = image[channel].as_tensor().numpy()
                image[channel] = torch.from_numpy(n4_correct(volume, spacing, self.shrink, self.iterations))
            item[key] = image
        return item
