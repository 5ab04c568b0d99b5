"""HAD-Net's term: a critic that looks at the segmentation and at features of several levels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kd_monai.errors import UserError
from kd_monai.losses.terms.base import Critic
from kd_monai.outputs import Batch, Outputs

REGIONS = 3
WIDTHS = (8, 16, 32, 32)


class HierarchicalCritic(nn.Module):
    """Whether segmentation and features of an image are the teacher's: a map of scores, 1 for it, 0 for the student.

    Halves the volume, then strides down; each layer's features join one stride further down, averaged to the size that
    is left there. No normalisation: one sample's scores are its own.

    Args:
        image_channels: modalities that the student reads.
        channels: of the layers' features, in the order in which they join.
    """

    def __init__(self, image_channels: int, channels: Sequence[int]) -> None:
        super().__init__()
        widths = [*WIDTHS, *[WIDTHS[-1]] * len(channels)][: max(1, len(channels))]
        inputs = [image_channels + REGIONS, *widths]
        self.strides = nn.ModuleList(
            nn.Conv3d(below, width, 3, stride=2, padding=1) for below, width in zip(inputs, widths, strict=False)
        )
        self.joins = nn.ModuleList(nn.Conv3d(count, width, 1) for count, width in zip(channels, widths, strict=False))
        self.score = nn.Conv3d(widths[-1], 1, 1)

    def forward(self, image: Tensor, regions: Tensor, features: Sequence[Tensor]) -> Tensor:
        """Scores ``B 1 h w d`` of image ``B M H W D``, probabilities ``B 3 H W D`` and layers ``B K h' w' d'``."""
        x = F.avg_pool3d(torch.cat([image, regions], 1), 2, ceil_mode=True)
        for level, stride in enumerate(self.strides):
            x = stride(x)
            if level < len(features):
                x = x + self.joins[level](F.adaptive_avg_pool3d(features[level], x.shape[2:]))
            x = F.leaky_relu(x, 0.2)
        return self.score(x)


class Adversarial(nn.Module):
    """``mean (D(x, p_s, f_s) - 1)^2``: how far the critic is from taking the student for the teacher, LSGAN's.

    Never below 0. The critic D (a `Critic`, stepped before) is taught ``((D(x, p_t, f_t) - 1)^2 + D(x, p_s, f_s)^2) /
    2``, with the student's image x for both. It sees probabilities of TC, WT and ET, so that teacher and student may
    have different heads.

    Args:
        image_channels: modalities that the student reads.
        teacher_layers, student_layers: tapped layers, one for one, from the finest to the coarsest.
        adapter: show the critic a learned 1 x 1 x 1 convolution of each of the student's layers, from the student's
            channels to the teacher's; for networks of different widths. Sizes in space may differ.
        learning_rate: of the critic's Adam; 2e-4 in HAD-Net's code.

    Raises:
        UserError: not as many layers of one as of the other.

    Source: Vadacchino et al., HAD-Net (MIDL 2021); least squares, Mao et al. 2017. Their critic has 128
    to 1024 channels and instance normalisation, and joins two layers at each of three sizes.
    """

    def __init__(
        self,
        image_channels: int,
        teacher_layers: Sequence[str],
        student_layers: Sequence[str],
        adapter: bool = False,
        learning_rate: float = 2e-4,
    ) -> None:
        super().__init__()
        self.image_channels = image_channels
        self.teacher_layers, self.student_layers = list(teacher_layers), list(student_layers)
        if len(self.teacher_layers) != len(self.student_layers):
            raise UserError(
                "An adversarial term compares layers one for one; got teacher "
                f"{self.teacher_layers} and student {self.student_layers}. Name as many of one as of the other."
            )
        self.adapter, self.learning_rate = adapter, learning_rate
        self.learned = True
        self.adapters = nn.ModuleList()
        self.critic: Critic | None = None

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """(teacher, student) layers that are compared."""
        return list(zip(self.teacher_layers, self.student_layers, strict=True))

    def build(self, student: Outputs, teacher: Outputs) -> None:
        """Make critic and adapters, for the channels of these outputs."""
        channels = [(student.feature(s).shape[1], teacher.feature(t).shape[1]) for t, s in self.pairs]
        if self.adapter:
            self.adapters = nn.ModuleList(nn.Conv3d(ours, theirs, kernel_size=1) for ours, theirs in channels)
        self.critic = Critic(
            HierarchicalCritic(self.image_channels, [theirs for _, theirs in channels]),
            self.critic_loss,
            lambda parameters: torch.optim.Adam(parameters, self.learning_rate, betas=(0.5, 0.999)),
        )

    def check(self, student: Outputs, teacher: Outputs) -> None:
        """Whether one critic can read the layers of both.

        Raises:
            UserError: a layer of the student has other channels than the teacher's, and there is no adapter.
        """
        for theirs, ours in self.pairs:
            channels = teacher.feature(theirs).shape[1], student.feature(ours).shape[1]
            if not self.adapter and channels[0] != channels[1]:
                raise UserError(
                    f"One critic reads the layers of both networks, so their channels agree; got teacher {theirs!r} "
                    f"with {channels[0]} and student {ours!r} with {channels[1]}. Name layers that agree, or set "
                    "`adapter: true` in the term."
                )

    def critic_loss(self, network: nn.Module, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        """What the critic lowers, a scalar."""
        with torch.autocast(student.logits.device.type, enabled=False):
            with torch.no_grad():
                ours, theirs = self._of_student(student), self._of_teacher(teacher)
            image = batch.student_image.float()
            return ((network(image, *theirs) - 1).square().mean() + network(image, *ours).square().mean()) / 2

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        """One value per sample, ``B``.

        Raises:
            RuntimeError: the critic was never built.
        """
        if self.critic is None:
            raise RuntimeError("A critic is built before it judges: call kd_monai.losses.build_terms on the loss.")
        with torch.autocast(student.logits.device.type, enabled=False):
            scores = self.critic.network(batch.student_image.float(), *self._of_student(student))
            return (scores - 1).square().flatten(1).mean(1)

    def _of_teacher(self, outputs: Outputs) -> tuple[Tensor, list[Tensor]]:
        features = [outputs.feature(name) for name in self.teacher_layers]
        return outputs.head.region_probabilities(outputs.logits.float()), features

    def _of_student(self, outputs: Outputs) -> tuple[Tensor, list[Tensor]]:
        features = [outputs.feature(name) for name in self.student_layers]
        if self.adapter:
            features = [adapt(layer) for adapt, layer in zip(self.adapters, features, strict=True)]
        return outputs.head.region_probabilities(outputs.logits.float()), features
