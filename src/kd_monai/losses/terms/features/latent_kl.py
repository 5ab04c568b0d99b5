"""KD-Net's distillation of the bottleneck: a Kullback-Leibler divergence between normalised features."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from kd_monai.errors import UserError
from kd_monai.losses.terms.base import FeatureTerm
from kd_monai.outputs import Batch

Axis = Literal["whole", "channel", "space"]


def latent_kl(teacher: Tensor, student: Tensor, axis: Axis = "whole") -> Tensor:
    """``sum q (log q - log p)`` of each sample, ``q = softmax(b_t)``, ``p = softmax(b_s)``.

    The softmax and the sum run over the axis, the mean over the rest: `whole` takes the flattened tensor as one
    distribution, `channel` the channels at each voxel, `space` the voxels of each channel.

    Args:
        teacher, student: features ``B K h w d``, float32.
        axis: the paper's flattening is not known; REFERENCES section 1 asks for all three.

    Returns:
        ``B``; 0 at equality, never below.

    Source: KD-Net (Hu et al., MICCAI 2020), L_KL; direction and flattening recalled.

    Example:
        >>> b = torch.randn(2, 4, 3, 2, 1)
        >>> bool(torch.allclose(latent_kl(b, b + 7.0), torch.zeros(2), atol=1e-6))  # a softmax ignores a constant
        True
    """
    b, k = teacher.shape[:2]
    if axis == "whole":
        t, s = (x.reshape(b, 1, -1) for x in (teacher, student))
    elif axis == "channel":
        t, s = (x.reshape(b, k, -1).transpose(1, 2) for x in (teacher, student))
    else:
        t, s = (x.reshape(b, k, -1) for x in (teacher, student))
    log_q, log_p = torch.log_softmax(t, -1), torch.log_softmax(s, -1)
    return (log_q.exp() * (log_q - log_p)).sum(-1).mean(1)


class LatentKL(FeatureTerm):
    """`latent_kl` between a layer of the teacher and a layer of the student.

    Args:
        teacher_layer, student_layer: tapped layers, for example BasicUNet's bottleneck ``down_4``.
        axis: what the softmax runs over.
        adapter: see `FeatureTerm`.

    Raises:
        UserError: an unknown axis.
    """

    def __init__(
        self,
        teacher_layer: str = "down_4",
        student_layer: str = "down_4",
        axis: Axis = "whole",
        adapter: bool = False,
    ) -> None:
        super().__init__(teacher_layer, student_layer, adapter)
        if axis not in get_args(Axis):
            raise UserError(f"`axis` of latent_kl must be one of {list(get_args(Axis))}; got {axis!r}.")
        self.axis = axis

    def compare(self, teacher: Tensor, student: Tensor, batch: Batch) -> Tensor:
        """One value per sample, ``B``."""
        return latent_kl(teacher, student, self.axis)
