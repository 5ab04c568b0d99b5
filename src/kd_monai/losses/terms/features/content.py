"""The student's features are the teacher's: as they stand (SMU-Net's content), or behind a learned map (regression)."""

from __future__ import annotations

from torch import Tensor

from kd_monai.losses.terms.base import FeatureTerm
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


class FeatureRegression(FeatureTerm):
    """``mean (A f_s - f_t)^2`` of each sample, `content` behind a learned 1 x 1 x 1 convolution A.

    Its minimum is 0, where A f_s = f_t; for given features, what a linear least-squares fit leaves. A is trained with
    the student and left behind.

    Args:
        teacher_layer, student_layer: see `FeatureTerm`.

    Source: knowledge transfer in learning using privileged information (Vapnik & Izmailov 2015); as a convolution
    between layers, FitNets' hint (Romero et al. 2015).
    """

    def __init__(self, teacher_layer: str, student_layer: str) -> None:
        super().__init__(teacher_layer, student_layer, adapter=True)

    def compare(self, teacher: Tensor, student: Tensor, batch: Batch) -> Tensor:
        """One value per sample, ``B``."""
        return content(teacher, student)
