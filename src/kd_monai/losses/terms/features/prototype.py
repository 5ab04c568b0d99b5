"""ProtoKD's distillation of how every voxel relates to the mean feature of every class."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from kd_monai.losses.terms.base import Alike, FeatureTerm
from kd_monai.losses.terms.features.features import FLOOR, resample, unit, voxels
from kd_monai.losses.terms.features.parts import exclusive_parts, part_means
from kd_monai.outputs import Batch


def prototype_cosines(features: Tensor, parts: Tensor) -> Tensor:
    """Cosine of each voxel's feature with each class's prototype, ``B V 4``; 0 for a class that the sample lacks.

    Args:
        features: ``B K h w d``.
        parts: shares of the classes in each voxel, ``B 4 h w d``.
    """
    prototypes, _ = part_means(features, parts)
    flat = voxels(features)
    length = torch.linalg.vector_norm(flat, dim=2, keepdim=True).clamp_min(FLOOR)
    return torch.bmm(flat, unit(prototypes, 2).transpose(1, 2)) / length


def prototype(teacher: Tensor, student: Tensor, regions: Tensor) -> Tensor:
    """``mean_c mean_v (cos(f_t(v), m_t(c)) - cos(f_s(v), m_s(c)))^2`` of each sample.

    ``m(c)`` is the mean feature over class c: background, WT - TC, TC - ET, ET, the label being brought to the layer's
    grid by area (`exclusive_parts`). A class that a sample lacks is left out of that sample's mean, and of no other's.
    A student's maps of another size are resampled to the teacher's.

    Args:
        teacher, student: features ``B K h w d``, float32; channels and sizes may differ.
        regions: float ``B 3 H W D`` (TC, WT, ET).

    Returns:
        ``B``, between 0 and 4; 0 at equality, never below.

    Source: ProtoKD (Wang et al., ICASSP 2023), intra-class and inter-class feature variation.
    """
    size, student_size = teacher.shape[2:], student.shape[2:]
    parts = exclusive_parts(regions, size)
    of_teacher = prototype_cosines(teacher, parts)
    of_student = prototype_cosines(student, parts if student_size == size else exclusive_parts(regions, student_size))
    if student_size != size:
        of_student = voxels(resample(of_student.transpose(1, 2).unflatten(2, student_size), size))
    present = parts.flatten(2).any(2)
    squares = (of_teacher - of_student).square().mean(1)
    return (squares * present).sum(1) / present.sum(1)


class Prototype(FeatureTerm):
    """`prototype` between a layer of the teacher and a layer of the student, over the classes of the batch's label.

    Arguments as in `FeatureTerm`.
    """

    alike: ClassVar[Alike] = "nothing"

    def compare(self, teacher: Tensor, student: Tensor, batch: Batch) -> Tensor:
        """One value per sample, ``B``."""
        return prototype(teacher, student, batch.label)
