"""What every term on features is: two layers, perhaps an adapter between them, and a formula in float32."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from kd_monai.errors import UserError
from kd_monai.losses.terms.features.features import resample
from kd_monai.outputs import Batch, Outputs

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
