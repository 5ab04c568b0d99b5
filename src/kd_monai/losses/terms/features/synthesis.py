"""The student learns to predict the images that it will not have: the privileged modalities themselves."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kd_monai.errors import UserError
from kd_monai.losses.terms.base import Adapter
from kd_monai.losses.terms.features.content import content
from kd_monai.outputs import Batch, Outputs


class Synthesis(nn.Module):
    """``mean (A f_s - x_t)^2`` of each sample: x_t the teacher's image, A a learned 1 x 1 x 1 convolution.

    The image comes to the layer's size by area. Its minimum is 0, where A f_s = x_t; for given features, what a linear
    least-squares fit leaves. Modalities are normalised, so that each counts alike and a constant prediction costs about
    1 in the brain. A is trained with the student and left behind; no output of the teacher is read.

    Args:
        student_layer: tapped layer, in YAML ``$@taps['decoder']``.
        channels: modalities of the teacher's image, in YAML ``$len(@teacher_run.modalities)``.

    Raises:
        UserError: fewer than one channel.

    Source: privileged images as a second target, after learning using privileged information (Vapnik & Vashist 2009);
    missing sequences are synthesised from those at hand in a shared encoder by, among others, Chartsias et al. 2018.
    """

    learned = True

    def __init__(self, student_layer: str, channels: int) -> None:
        super().__init__()
        if channels < 1:
            raise UserError(
                f"`channels` of synthesis is the number of the teacher's modalities, at least 1; got {channels}. Write "
                "$len(@teacher_run.modalities)."
            )
        self.student_layer, self.channels = student_layer, channels
        self.adapter: Adapter | None = None

    @property
    def pairs(self) -> list[tuple[str | None, str]]:
        """(teacher, student) layers that are read: none of the teacher's."""
        return [(None, self.student_layer)]

    def build(self, student: Outputs, teacher: Outputs) -> None:
        """Make the convolution, for the channels of the student's layer."""
        features = student.feature(self.student_layer)
        self.adapter = Adapter(features, features.new_zeros(1, self.channels, 1, 1, 1))

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        """One value per sample, ``B``.

        Raises:
            UserError: the teacher's image has another number of channels.
        """
        if self.adapter is None or batch.teacher_image.shape[1] != self.channels:
            raise UserError(
                f"Synthesis predicts {self.channels} modalities of the teacher's, with a map that was built; the batch "
                f"has {batch.teacher_image.shape[1]}. Write `channels: $len(@teacher_run.modalities)`."
            )
        with torch.autocast(student.logits.device.type, enabled=False):
            features = student.feature(self.student_layer)
            size = features.shape[2:]
            image = F.adaptive_avg_pool3d(batch.teacher_image.detach().float(), tuple(size))
            return content(image, self.adapter(features, size))
