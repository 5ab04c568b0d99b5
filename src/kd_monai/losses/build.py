"""The loss with the parameters of its learned terms, before the optimiser is made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import ignite.distributed as idist
import torch
from torch import nn

from kd_monai.errors import UserError
from kd_monai.losses.distillation import DistillationLoss
from kd_monai.outputs import FeatureTaps, Head, Outputs


def dry_run(network: nn.Module, head: Head, layers: Sequence[str], channels: int, roi_size: Sequence[int]) -> Outputs:
    """Outputs of one empty patch, in eval mode, without gradients or random numbers, where the network is.

    Args:
        network: left in the mode it was in; of cross-fitted teachers, which are alike, the first is run.
        head: how its logits are read.
        layers: to be tapped.
        channels: that it reads.
        roi_size: patch in voxels.

    Raises:
        UserError: a layer is missing, or layers are asked of several teachers.
    """
    if isinstance(network, nn.ModuleList):
        network = network[0]
    taps = FeatureTaps(network, layers)
    device = next(network.parameters()).device
    was_training = network.training
    network.eval()
    taps.open()
    try:
        with torch.no_grad():
            logits = network(torch.zeros(1, channels, *roi_size, device=device))
    finally:
        features = taps.close()
        network.train(was_training)
    return Outputs(logits, head, features)


class TrainedTeacher(Protocol):
    """The part of a teacher that terms are built for (`kd_monai.teachers.ensemble.read_teacher`)."""

    modalities: list[str]

    @property
    def head(self) -> Head: ...
    @property
    def network(self) -> nn.Module: ...


def build_terms(
    loss: DistillationLoss,
    teacher: TrainedTeacher | None,
    student: nn.Module,
    student_head: Head,
    student_modalities: Sequence[str],
    roi_size: Sequence[int],
    seed: int,
    device: torch.device | str,
) -> DistillationLoss:
    """The loss on its device, learned terms built for both networks' channels.

    Their initial weights follow from the seed alone, and the stream of random numbers is left as it was: whatever is
    learned beside it, a student starts from the same weights.

    Args:
        loss: with or without terms.
        teacher: nobody for a baseline.
        student: its network, on the device.
        student_head, student_modalities: how its logits are read, and what it reads.
        roi_size: patch in voxels.
        seed: of the run.
        device: where both networks and the loss go.

    Raises:
        UserError: a tapped layer is missing, feature terms were given several teachers, or learned terms or critics
            train in several processes.
    """
    if teacher is not None and loss.learned:
        teacher_layers, student_layers = loss.layers
        of_teacher = dry_run(
            teacher.network.to(device), teacher.head, teacher_layers, len(teacher.modalities), roi_size
        )
        of_student = dry_run(student, student_head, student_layers, len(student_modalities), roi_size)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # not torch.manual_seed, which seeds every device
            loss.build(of_student, of_teacher)
    learning = [*loss.parameters()] or loss.critics.by_name()
    if learning and idist.get_world_size() > 1:
        raise UserError(
            f"Learned terms train in one process, as only the student's gradients are averaged; got "
            f"{idist.get_world_size()} processes. Train on one GPU, or leave out the adapter or critic."
        )
    loss.critics.to(device)
    return loss.to(device)
