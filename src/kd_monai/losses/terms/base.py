"""What every term is: a module that compares outputs, one that compares features, or one that a critic teaches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from kd_monai.errors import UserError
from kd_monai.losses.terms.features.features import resample
from kd_monai.outputs import Batch, Outputs


class OutputTerm(nn.Module, ABC):
    """A term between the outputs of teacher and student; a subclass has the formula, `compare`.

    Attributes:
        needs_head: of a class that reads one head alone, its name; else both networks have the same one.
    """

    needs_head: ClassVar[str]

    def check(self, student: Outputs, teacher: Outputs) -> None:
        """Whether it can compare the two: probabilities of different heads have different channels.

        Raises:
            UserError: teacher and student have different heads, or another one than it reads.
        """
        term, heads = type(self).__name__, (teacher.head.name, student.head.name)
        needed = getattr(self, "needs_head", None)
        if needed is not None and set(heads) != {needed}:
            raise UserError(
                f"Term {term} reads the {needed!r} head alone; got a {heads[0]!r} teacher and a {heads[1]!r} "
                f"student. Train both, and the baseline beside them, with SET=head={needed}."
            )
        if heads[0] != heads[1]:
            raise UserError(
                f"Term {term} compares probabilities channel by channel, so teacher and student need the same head; "
                f"got a {heads[0]!r} teacher and a {heads[1]!r} student. Train one of them with the other's `head`."
            )

    @abstractmethod
    def compare(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        """The formula: one value per sample, ``B``, outside any autocast."""

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        """One value per sample, ``B``.

        Raises:
            UserError: see `check`.
        """
        self.check(student, teacher)
        with torch.autocast(student.logits.device.type, enabled=False):
            return self.compare(student, teacher, batch)


Alike = Literal["shape", "channels", "nothing"]


class Adapter(nn.Module):
    """A learned 1 x 1 x 1 convolution to the teacher's channels, then trilinear to its size where that differs.

    The order costs nothing: a map of channels and an interpolation of space commute.

    Args:
        student, teacher: features ``B K h w d``; their channels are what counts.
    """

    def __init__(self, student: Tensor, teacher: Tensor) -> None:
        super().__init__()
        convolution = nn.Conv3d(student.shape[1], teacher.shape[1], kernel_size=1)
        self.weight, self.bias = convolution.weight, convolution.bias

    def forward(self, features: Tensor, size: Sequence[int]) -> Tensor:
        """Student's features ``B K h w d`` as the teacher's shape has them."""
        return resample(nn.functional.conv3d(features, self.weight, self.bias), size)


class FeatureTerm(nn.Module, ABC):
    """A term between a layer of the teacher and a layer of the student.

    A subclass has the formula, `compare`. It gets float32 features whatever the autocast, the teacher's without a graph
    and the student's through the adapter.

    Args:
        teacher_layer, student_layer: tapped layers, in YAML ``$@teacher_run.tap('bottleneck')`` and
            ``$@taps['bottleneck']``.
        adapter: compare the teacher with a learned 1 x 1 x 1 convolution of the student, from the student's channels to
            the teacher's, resampled to the teacher's size; for networks of different widths or depths.

    Attributes:
        alike: what the two layers must have in common: their whole `shape`, their `channels`, or `nothing`.
    """

    alike: ClassVar[Alike] = "shape"

    def __init__(self, teacher_layer: str, student_layer: str, adapter: bool = False) -> None:
        super().__init__()
        self.teacher_layer, self.student_layer = teacher_layer, student_layer
        self.learned = adapter
        self.adapter: Adapter | None = None

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """(teacher, student) layers that are compared."""
        return [(self.teacher_layer, self.student_layer)]

    def build(self, student: Outputs, teacher: Outputs) -> None:
        """Make the adapter, for the channels of these outputs."""
        self.adapter = Adapter(student.feature(self.student_layer), teacher.feature(self.teacher_layer))

    def features(self, student: Outputs, teacher: Outputs) -> tuple[Tensor, Tensor]:
        """Features of teacher and student that are compared, ``B K h w d``."""
        of_teacher, of_student = teacher.feature(self.teacher_layer).detach(), student.feature(self.student_layer)
        if self.adapter is not None:
            of_student = self.adapter(of_student, of_teacher.shape[2:])
        return of_teacher, of_student

    def check(self, student: Outputs, teacher: Outputs) -> None:
        """Whether it can compare the two.

        Raises:
            UserError: the layers' shapes, or channels, differ.
        """
        shapes = [tuple(features.shape) for features in self.features(student, teacher)]
        compared = {"shape": "of one shape (batch, channels, space)", "channels": "of as many channels"}
        differ = {"shape": shapes[0] != shapes[1], "channels": shapes[0][1] != shapes[1][1], "nothing": False}
        if differ[self.alike]:
            raise UserError(
                f"Term {type(self).__name__} compares layers {compared[self.alike]}; got teacher "
                f"{self.teacher_layer!r} {shapes[0]} and student {self.student_layer!r} {shapes[1]}. Name layers that "
                "agree, or set `adapter: true` in the term, which learns a map to the teacher's channels and resamples "
                "to its size."
            )

    @abstractmethod
    def compare(self, teacher: Tensor, student: Tensor, batch: Batch) -> Tensor:
        """The formula: one value per sample, ``B``, of features ``B K h w d``."""

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        """One value per sample, ``B``."""
        with torch.autocast(student.logits.device.type, enabled=False):
            return self.compare(*self.features(student, teacher), batch)


CriticLoss = Callable[[nn.Module, Outputs, Outputs, Batch], Tensor]


class Critic:
    """A network with an optimiser of its own, stepped once per batch before the student's loss.

    No `nn.Module`: what a term keeps under `critic` is neither in the loss's parameters nor in its state_dict. Outside
    its step the network's parameters take no gradients. To leave the student's random numbers alone it draws none.

    Args:
        network: what judges; the term calls it as ``critic.network``.
        loss: (network, student, teacher, batch) -> scalar that the critic lowers, of outputs without a graph.
        optimizer: parameters -> optimiser; Adam with learning rate 1e-4 unless given.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: CriticLoss,
        optimizer: Callable[[list[nn.Parameter]], torch.optim.Optimizer] | None = None,
    ) -> None:
        self.network, self.loss = network, loss
        parameters = list(network.parameters())
        self.optimizer = optimizer(parameters) if optimizer else torch.optim.Adam(parameters, lr=1e-4)
        self.network.requires_grad_(False)

    def step(self, student: Outputs, teacher: Outputs, batch: Batch) -> None:
        """Learn from one batch."""
        self.network.requires_grad_(True)
        self.optimizer.zero_grad(set_to_none=True)
        self.loss(self.network, student.detached(), teacher.detached(), batch).backward()
        self.optimizer.step()
        self.network.requires_grad_(False)

    def state_dict(self) -> dict[str, Any]:
        """Weights and the optimiser's state."""
        return {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up where `state_dict` left."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])


class Critics:
    """The critics of a loss's terms, as one thing to step and to checkpoint.

    Args:
        terms: name -> term; one that has a critic keeps it under `critic`, from its `build` on.
    """

    def __init__(self, terms: nn.ModuleDict) -> None:
        self._terms = terms

    def by_name(self) -> dict[str, Critic]:
        """Critic of each term that has one.

        Raises:
            TypeError: a term's critic is a plain module, which the student's optimiser would train.
        """
        critics = {name: term.critic for name, term in self._terms.items() if getattr(term, "critic", None) is not None}
        for name, critic in critics.items():
            if not isinstance(critic, Critic):
                raise TypeError(
                    f"The `critic` of a term is a {Critic.__module__}.Critic; got {type(critic).__name__} in {name!r}. "
                    "Wrap the network: Critic(network, loss)."
                )
        return critics

    def step(self, student: Outputs, teacher: Outputs, batch: Batch) -> None:
        """Let each learn from one batch."""
        for critic in self.by_name().values():
            critic.step(student, teacher, batch)

    def to(self, device: torch.device | str) -> None:
        """Move the networks; before a checkpoint is read."""
        for critic in self.by_name().values():
            critic.network.to(device)

    def state_dict(self) -> dict[str, Any]:
        """State of each by its term's name."""
        return {name: critic.state_dict() for name, critic in self.by_name().items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up where `state_dict` left."""
        for name, critic in self.by_name().items():
            critic.load_state_dict(state[name])
