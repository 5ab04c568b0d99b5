"""PMKL's contrast: what the student makes of a class is near the teacher's, and away from other classes'."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from kd_monai.losses.terms.base import Alike, FeatureTerm
from kd_monai.losses.terms.features.features import unit
from kd_monai.losses.terms.features.parts import exclusive_parts, part_means
from kd_monai.outputs import Batch


def contrastive(teacher: Tensor, student: Tensor, regions: Tensor, margin: float = 1.0) -> Tensor:
    """``mean_c |u_c - v_c|^2 + mean_{c != c'} max(0, margin - |u_c - v_c'|)^2`` of each sample.

    ``u_c`` and ``v_c``, of length 1, are student's and teacher's mean features over class c: background, WT - TC,
    TC - ET, ET. Means run over the classes that the sample has; with a single one there is no second part.

    Adapted: PMKL pairs samples, the same one's features against those of the batch's others, so that a sample's loss
    depends on its neighbours and a batch of one has no negatives. Here pairs are classes within a sample.

    Args:
        teacher, student: features ``B K h w d``, float32, of the same channels; sizes may differ.
        regions: float ``B 3 H W D`` (TC, WT, ET).
        margin: distance from which two classes are far enough apart; vectors of length 1 are at most 2 apart.

    Returns:
        ``B``, never below 0. At equality the first part is 0 and the second says how close the teacher's own classes
        are: the whole is 0 there if and only if all are `margin` apart.

    Source: PMKL (Chen et al., IEEE TMI 2021), margin contrastive loss of Hadsell et al. 2006.
    """
    parts = exclusive_parts(regions, teacher.shape[2:])
    v, present = part_means(teacher, parts)
    same = student.shape[2:] == teacher.shape[2:]
    u, _ = part_means(student, parts if same else exclusive_parts(regions, student.shape[2:]))
    differences = unit(u, 2).unsqueeze(2) - unit(v, 2).unsqueeze(1)  # B, student's class, teacher's class, K
    matching = differences.diagonal(dim1=1, dim2=2).square().sum(1) * present
    pairs = present.unsqueeze(2) & present.unsqueeze(1) & ~torch.eye(4, dtype=torch.bool, device=present.device)
    close = (margin - torch.linalg.vector_norm(differences, dim=3)).clamp_min(0).square() * pairs
    return matching.sum(1) / present.sum(1) + close.sum((1, 2)) / pairs.sum((1, 2)).clamp_min(1)


class Contrastive(FeatureTerm):
    """`contrastive` between a layer of the teacher and a layer of the student, over the classes of the batch's label.

    Args:
        teacher_layer, student_layer, adapter: see `FeatureTerm`.
        margin: distance from which two classes are far enough apart.
    """

    alike: ClassVar[Alike] = "channels"

    def __init__(self, teacher_layer: str, student_layer: str, margin: float = 1.0, adapter: bool = False) -> None:
        super().__init__(teacher_layer, student_layer, adapter)
        self.margin = margin

    def compare(self, teacher: Tensor, student: Tensor, batch: Batch) -> Tensor:
        """One value per sample, ``B``."""
        return contrastive(teacher, student, batch.label, self.margin)
