"""The ICBM152 maps of the nilearn wheel, and where they lie in the BraTS grid."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from kd_monai.errors import UserError
from kd_monai.phantom.grid import Volume


@dataclass(frozen=True)
class Template:
    """ICBM152 2009a probability maps at 1 mm.

    Args:
        maps: white matter, grey matter and brain mask (blurred by 1 mm) in [0, 1].
        mm_to_voxel: MNI mm to voxel index, 4 x 4.
        seeds_mm: MNI positions (n, 3) in deep cerebral white matter, where gliomas start.
    """

    maps: tuple[Volume, Volume, Volume]
    mm_to_voxel: npt.NDArray[np.float64]
    seeds_mm: npt.NDArray[np.float64]


@lru_cache(maxsize=1)
def load_template() -> Template:
    """Read the maps that ship with nilearn: nothing is downloaded.

    Raises:
        UserError: nilearn is not installed.

    Source: Fonov et al. 2011, doi:10.1016/j.neuroimage.2010.07.033.
    """
    try:
        from nilearn.datasets import (  # imported late: it costs two seconds
            load_mni152_gm_template,
            load_mni152_template,
            load_mni152_wm_template,
        )
    except ModuleNotFoundError as error:
        raise UserError(
            f"The phantom is grown from the ICBM152 maps of nilearn: {error}. Install them: pip install kd_monai[demo]"
        ) from error

    t1_image = load_mni152_template(resolution=1)
    brain = (np.asarray(t1_image.dataobj) > 0.2).astype(np.float32)
    white = np.asarray(load_mni152_wm_template(resolution=1).dataobj, np.float32)
    grey = np.asarray(load_mni152_gm_template(resolution=1).dataobj, np.float32)
    voxel_to_mm = np.asarray(t1_image.affine, np.float64)

    deep = np.argwhere(gaussian_filter(white, 2.0)[::3, ::3, ::3] > 0.6) * 3
    mm = deep @ voxel_to_mm[:3, :3].T + voxel_to_mm[:3, 3]
    x, y, z = mm.T
    cerebellum, stem = (z < -10) & (y < -40), (np.abs(x) < 22) & (z < -2)
    cerebrum = (np.abs(x) > 14) & (y > -80) & (z > -30) & (z < 40) & ~cerebellum & ~stem
    return Template(
        (white, grey, gaussian_filter(brain, 1.0)), np.asarray(np.linalg.inv(voxel_to_mm), np.float64), mm[cerebrum]
    )


def brats_to_mni() -> npt.NDArray[np.float64]:
    """World mm of the BraTS grid to MNI mm, 4 x 4.

    Fitted once, with scales, tilt and shift. They maximise the correlation (0.97) of the ICBM152 T1 with the mean
    normalised T1 of n = 22 real BraTS 2018 cases at 2 mm.
    """
    tilt = 0.2266
    rotation = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    forward = np.eye(4)
    forward[:3, :3] = rotation @ np.diag([0.9545, 0.9823, 0.9394])
    forward[:3, 3] = (-118.4, 127.95, 69.13)
    return np.asarray(np.linalg.inv(forward), np.float64)
