"""SMU-Net's content: the student's bottleneck is the teacher's."""

from __future__ import annotations

from torch import Tensor

from kd_monai.losses.terms.features.feature_term import FeatureTerm
from kd_monai.outputs import Batch


def content(teacher: Tensor, student: Tensor) -> Tensor:
    """``mean (b_t - b_s)^2`` of each sample, over channels and voxels.

    Args:
        teacher, student: features ``B K h w d``, float32.

    Returns:
        ``B``; 0 at equality, never below.

    Source: SMU-Net (Azad et al. 2022), after the content loss of style transfer (Gatys et al. 2016).
    """
    return (teacher - student).square().flatten(1).mean(1)


class Content(FeatureTerm):
    """`content` between a layer of the teacher and a layer of the student; arguments as in `FeatureTerm`."""

    def compare(self, teacher: Tensor, student: Tensor, batch: Batch) -> Tensor:
        """One value per sample, ``B``."""
        return content(teacher, student)
