"""Structured distillation's third part: a critic that looks at whole segmentations, given the image."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kd_monai.losses.terms.base import Critic
from kd_monai.outputs import Batch, Outputs

GOLDEN = 0.6180339887498949
REGIONS = 3
_TINY = 1e-12  # a gradient of exactly zero has no direction, and would give NaN


class HolisticCritic(nn.Module):
    """How much an (image, segmentation) pair looks like the teacher's: one unbounded number a sample, ``B``.

    Halves the volume first, then three strided convolutions of few channels, and the mean of what is left. No
    normalisation: the gradient penalty is one sample's own.

    Args:
        image_channels: modalities that the student reads.
        widths: channels of the strided convolutions.

    Attributes:
        drawn: how many interpolations were taken; in the state, so that a resumed training takes the next one.
    """

    drawn: Tensor

    def __init__(self, image_channels: int, widths: Sequence[int] = (8, 16, 32)) -> None:
        super().__init__()
        channels = [image_channels + REGIONS, *widths]
        self.layers = nn.ModuleList(
            nn.Conv3d(below, width, 3, stride=2, padding=1) for below, width in pairwise(channels)
        )
        self.score = nn.Conv3d(channels[-1], 1, 1)
        self.register_buffer("drawn", torch.zeros((), dtype=torch.int64))

    def forward(self, image: Tensor, regions: Tensor) -> Tensor:
        """``B`` of an image ``B M H W D`` and probabilities of regions ``B 3 H W D``."""
        x = F.avg_pool3d(torch.cat([image, regions], 1), 2, ceil_mode=True)
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
        return self.score(x).flatten(1).mean(1)

    def next_shares(self, count: int) -> Tensor:
        """The next `count` of ``frac(n * 0.618...)``, which fills [0, 1) evenly and draws no random numbers."""
        numbers = self.drawn + torch.arange(1, count + 1, device=self.drawn.device)
        self.drawn += count
        return (numbers.double() * GOLDEN).frac().float()


def gradient_penalty(network: nn.Module, image: Tensor, regions: Tensor) -> Tensor:
    """``(|d D(image, regions) / d regions| - 1)^2`` of each sample, ``B``: WGAN-GP's, which keeps D 1-Lipschitz."""
    regions = regions.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(network(image, regions).sum(), regions, create_graph=True)
    return ((gradient.square().flatten(1).sum(1) + _TINY).sqrt() - 1).square()


class Holistic(nn.Module):
    """``D(x, p_t) - D(x, p_s)``: what the critic still sees between the two segmentations of the student's image.

    0 at equality, which is no minimum: a student that the critic takes for better than the teacher has less. The critic
    D (a `Critic`, stepped before) is taught ``D(x, p_s) - D(x, p_t) + penalty * (|grad D| - 1)^2``, the gradient taken
    between the two segmentations, at shares of a fixed sequence in place of random ones. It sees probabilities of TC,
    WT and ET, so that teacher and student may have different heads.

    Args:
        image_channels: modalities that the student reads.
        penalty: weight of the gradient penalty; 10 in WGAN-GP (recalled).
        learning_rate: of the critic's Adam.

    Source: Liu et al., Structured Knowledge Distillation for Semantic Segmentation (CVPR 2019), whose critic is of
    images and attends to itself; WGAN-GP, Gulrajani et al. 2017.
    """

    learned = True

    def __init__(self, image_channels: int, penalty: float = 10.0, learning_rate: float = 1e-4) -> None:
        super().__init__()
        self.image_channels, self.penalty, self.learning_rate = image_channels, penalty, learning_rate
        self.critic: Critic | None = None

    def build(self, student: Outputs, teacher: Outputs) -> None:
        """Make the critic."""
        self.critic = Critic(
            HolisticCritic(self.image_channels),
            self.critic_loss,
            lambda parameters: torch.optim.Adam(parameters, self.learning_rate, betas=(0.0, 0.9)),
        )

    def critic_loss(self, network: nn.Module, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        """What the critic lowers, a scalar."""
        image = batch.student_image
        with torch.autocast(image.device.type, enabled=False):
            image, ours, theirs = image.float(), _regions(student), _regions(teacher)
            share = network.next_shares(len(image)).reshape(-1, 1, 1, 1, 1)
            penalty = gradient_penalty(network, image, theirs + share * (ours - theirs))
            scores = network(torch.cat([image, image]), torch.cat([ours, theirs]))
            return scores[: len(image)].mean() - scores[len(image) :].mean() + self.penalty * penalty.mean()

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        """One value per sample, ``B``.

        Raises:
            RuntimeError: the critic was never built.
        """
        if self.critic is None:
            raise RuntimeError("A critic is built before it judges: call kd_monai.losses.build_terms on the loss.")
        image = batch.student_image
        with torch.autocast(image.device.type, enabled=False):
            with torch.no_grad():
                theirs = self.critic.network(image.float(), _regions(teacher))
            return theirs - self.critic.network(image.float(), _regions(student))


def _regions(outputs: Outputs) -> Tensor:
    """Probabilities of TC, WT and ET, ``B 3 H W D``, float32, of logits ``B C H W D`` of either head."""
    return outputs.head.region_probabilities(outputs.logits.float())
