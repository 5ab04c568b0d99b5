"""Attention transfer: the student is active where the teacher is."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from kd_monai.losses.terms.base import Alike, FeatureTerm
from kd_monai.losses.terms.features.features import resample, unit
from kd_monai.outputs import Batch


def attention(teacher: Tensor, student: Tensor) -> Tensor:
    """``sum_v (a_t - a_s)^2`` of each sample, ``a`` the map ``sum_k f_k^2`` over the voxels v, divided by its length.

    It is ``2 (1 - cosine)`` of two maps that are nowhere negative: between 0 and 2. The mean over voxels, as in much
    code, would be V times smaller, about 1e-5. A student's map of another size is resampled to the teacher's.

    Args:
        teacher, student: features ``B K h w d``, float32; channels and sizes may differ.

    Returns:
        ``B``; 0 at equality and at every multiple, never below.

    Source: Zagoruyko & Komodakis 2017, activation-based, p = 2.
    """
    of_teacher = teacher.square().sum(1, keepdim=True)
    of_student = resample(student.square().sum(1, keepdim=True), teacher.shape[2:])
    return (unit(of_teacher.flatten(1), 1) - unit(of_student.flatten(1), 1)).square().sum(1)


class Attention(FeatureTerm):
    """`attention` between a layer of the teacher and a layer of the student; arguments as in `FeatureTerm`."""

    alike: ClassVar[Alike] = "nothing"

    def compare(self, teacher: Tensor, student: Tensor, batch: Batch) -> Tensor:
        """One value per sample, ``B``."""
        return attention(teacher, student)
