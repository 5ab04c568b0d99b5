"""The loss of a training: against the reference, and the slot for the teacher with its weighted terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import ignite.distributed as idist
import torch
from monai.losses import DiceLoss
from torch import Tensor, nn
from torch.nn import functional as F

from kd_monai.errors import UserError
from kd_monai.losses.terms.base import Critics
from kd_monai.outputs import Batch, FeatureTaps, Head, Outputs


class SegmentationLoss(nn.Module):
    """``(1 - softDice(p, y)) + CE(p, y)``, the mean over samples, in float32 whatever the autocast.

    With the `regions` head the cross-entropy is binary, per region (MONAI's DiceCELoss would take a softmax across the
    overlapping regions); with the `labels` head it is categorical and Dice leaves the background out.

    Source: Isensee et al. 2018 (No New-Net); KD-Net's L_GT (REFERENCES: recalled).
    """

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head
        self.dice = DiceLoss(include_background=head.name == "regions", smooth_nr=1e-5, smooth_dr=1e-5)

    def forward(self, logits: Tensor, regions: Tensor) -> Tensor:
        """Scalar loss of logits ``B C H W D`` against float regions ``B 3 H W D`` (TC, WT, ET)."""
        with torch.autocast(logits.device.type, enabled=False):
            logits = logits.float()
            target = self.head.target(regions.float())
            if self.head.name == "regions":
                entropy = F.binary_cross_entropy_with_logits(logits, target)
            else:
                entropy = F.cross_entropy(logits, target)
            return self.dice(self.head.probabilities(logits), target) + entropy


class DistillationLoss(nn.Module):
    """``segmentation_weight * L_seg(z_s, y) + sum_i weight_i * mean_B term_i(student, teacher, batch)``.

    The trainer calls a loss with the prediction and the label alone, so the rest arrives in a slot: a handler fills it
    before the call and the call empties it. Without terms this is the plain baseline and no slot is needed.

    The segmentation loss, a mean over samples, is 0 for those that `Batch.labelled` says have no reference: ``L_seg``
    is then ``sum_labelled L_i / B``.

    Beside its call a term may have: `pairs`, the (teacher, student) layers it reads, None for nobody's;
    `check(student, teacher)`, which raises where the two do not fit, before anything learns in the first step;
    `learned = True` with `build(student, teacher)`, which makes its parameters for the channels of these outputs;
    `critic`, a `Critic`; and `needs_head`, of its class, the name of the one head it reads.

    Args:
        segmentation: loss of logits ``B C H W D`` against regions ``B 3 H W D``, a scalar.
        segmentation_weight: its weight; 1 - lambda in KD-Net.
        terms: name -> ``{"weight": float, "term": module}``; a term takes (student, teacher, batch) and gives ``B``.

    Attributes:
        named: detached, unweighted scalars of the last call by name, for the tracker.
        critics: of the terms; outside the parameters and the state_dict.

    Raises:
        UserError: an entry of `terms` has other keys, or a negative weight.
    """

    def __init__(
        self,
        segmentation: nn.Module,
        segmentation_weight: float = 1.0,
        terms: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        super().__init__()
        terms = terms or {}
        for name, entry in terms.items():
            if set(entry) != {"weight", "term"} or entry["weight"] < 0:
                raise UserError(
                    f"A distillation term is {{weight: number >= 0, term: module}}; got {dict(entry)} for {name!r}."
                )
        self.segmentation = segmentation
        self.segmentation_weight = float(segmentation_weight)
        self.weights = {name: float(entry["weight"]) for name, entry in terms.items()}
        self.terms = nn.ModuleDict({name: entry["term"] for name, entry in terms.items()})
        self.critics = Critics(self.terms)
        self.named: dict[str, Tensor] = {}
        self._unbuilt = sorted(name for name, term in self.terms.items() if getattr(term, "learned", False))
        self._slot: tuple[Outputs, Outputs, Batch] | None = None

    @property
    def layers(self) -> tuple[list[str], list[str]]:
        """Names of the teacher's and of the student's layers that terms read."""
        pairs = [pair for term in self.terms.values() for pair in getattr(term, "pairs", [])]
        of_teacher, of_student = ({pair[side] for pair in pairs} - {None} for side in (0, 1))
        return sorted(of_teacher), sorted(of_student)

    @property
    def learned(self) -> bool:
        """Whether a term has parameters to build."""
        return bool(self._unbuilt)

    def build(self, student: Outputs, teacher: Outputs) -> None:
        """Make the parameters of learned terms, for the channels of these outputs; before the optimiser is made."""
        for name in self._unbuilt:
            self.terms[name].build(student, teacher)
        self._unbuilt = []

    def check(self, student: Outputs, teacher: Outputs) -> None:
        """Ask every term whether student and teacher fit it.

        Raises:
            RuntimeError: a learned term was never built.
            UserError: a term refuses.
        """
        if self._unbuilt:
            raise RuntimeError(
                f"Learned terms are built before the optimiser is made; {self._unbuilt} are not. "
                "Call kd_monai.losses.build_terms on the loss."
            )
        for term in self.terms.values():
            if hasattr(term, "check"):
                term.check(student, teacher)

    def fill(self, student: Outputs, teacher: Outputs, batch: Batch) -> None:
        """Put what the next call needs into the slot."""
        self._slot = (student, teacher, batch)

    def clear(self) -> None:
        """Empty the slot, after a step or an exception; the named values stay until the next call."""
        self._slot = None

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """Scalar loss of logits ``B C H W D`` and float regions ``B 3 H W D``.

        Raises:
            RuntimeError: there are terms and nobody filled the slot since the last call.
        """
        if not self.terms:
            return self._weighted_segmentation(logits, label, None)
        if self._slot is None:
            raise RuntimeError(
                f"Terms {sorted(self.terms)} need the teacher's outputs and the slot is empty: attach "
                "kd_monai.handlers.TeacherHandler to the trainer (it fills the slot once per step)."
            )
        student, teacher, batch = self._slot
        self._slot = None
        total = self._weighted_segmentation(logits, label, batch.labelled)
        for name, term in self.terms.items():
            value = term(student, teacher, batch)
            if value.shape != logits.shape[:1]:
                raise RuntimeError(
                    f"A term gives one value per sample, shape {tuple(logits.shape[:1])}; {name!r} gave "
                    f"{tuple(value.shape)}. Average over the rest and not over the batch."
                )
            value = value.mean()
            self.named[name] = value.detach()
            total = total + self.weights[name] * value
        return total

    def _weighted_segmentation(self, logits: Tensor, label: Tensor, labelled: Tensor | None) -> Tensor:
        self.named = {}
        share = 1.0
        if labelled is not None and not labelled.all():
            chosen = labelled.to(logits.device)
            share = labelled.float().mean().item()
            if not share:
                return logits.new_zeros(())  # no value is named: a mean over steps is one over references
            logits, label = logits[chosen], label[chosen]
        segmentation = self.segmentation(logits, label)
        self.named["segmentation"] = segmentation.detach()
        return self.segmentation_weight * share * segmentation


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
    """The part of a teacher that terms are built for (`kd_monai.teachers.single.read_teacher`)."""

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
