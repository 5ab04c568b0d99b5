"""Channel-wise distillation: each channel of the student looks where the teacher's does."""

from __future__ import annotations

from torch import Tensor

from kd_monai.losses.terms.base import FeatureTerm
from kd_monai.losses.terms.features.latent_kl import latent_kl
from kd_monai.outputs import Batch


def channel_wise(teacher: Tensor, student: Tensor, temperature: float = 4.0) -> Tensor:
    """``T^2 * mean_k KL(softmax_v(f_t / T) || softmax_v(f_s / T))`` of each sample.

    The softmax and the sum run over the voxels v of a channel k, the mean over the channels, so that the value does not
    grow with the width. It is `latent_kl` along `space`, tempered.

    Args:
        teacher, student: features ``B K h w d``, float32.
        temperature: T.

    Returns:
        ``B``; 0 at equality and where a channel differs by a constant, never below.

    Source: CWD (Shu et al., ICCV 2021; arXiv:2011.13256).
    """
    return temperature**2 * latent_kl(teacher / temperature, student / temperature, "space")


class ChannelWise(FeatureTerm):
    """`channel_wise` between a layer of the teacher and a layer of the student.

    Args:
        teacher_layer, student_layer, adapter: see `FeatureTerm`.
        temperature: divides both features (REFERENCES: 4).
    """

    def __init__(self, teacher_layer: str, student_layer: str, temperature: float = 4.0, adapter: bool = False) -> None:
        super().__init__(teacher_layer, student_layer, adapter)
        self.temperature = temperature

    def compare(self, teacher: Tensor, student: Tensor, batch: Batch) -> Tensor:
        """One value per sample, ``B``."""
        return channel_wise(teacher, student, self.temperature)
