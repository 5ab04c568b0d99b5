"""The student learns to predict the teacher's features: what is privileged in training is regressed at test time."""

from __future__ import annotations

from torch import Tensor

from kd_monai.losses.terms.features.content import content
from kd_monai.losses.terms.features.feature_term import FeatureTerm
from kd_monai.outputs import Batch


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
