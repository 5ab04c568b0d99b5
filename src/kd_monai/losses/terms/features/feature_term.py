"""What every term on features is: two layers, perhaps an adapter, and a formula."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from kd_monai.losses.terms.features.adapter import Adapter
from kd_monai.losses.terms.features.features import require_same_channels, require_same_shape
from kd_monai.outputs import Batch, Outputs

Alike = Literal["shape", "channels", "nothing"]


class FeatureTerm(nn.Module):
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
            ValueError: the layers' shapes, or channels, differ.
        """
        of_teacher, of_student = self.features(student, teacher)
        named = (self.teacher_layer, of_teacher), (self.student_layer, of_student)
        if self.alike == "shape":
            require_same_shape(*named, "`adapter: true`")
        elif self.alike == "channels":
            require_same_channels(*named, "`adapter: true`")

    def compare(self, teacher: Tensor, student: Tensor, batch: Batch) -> Tensor:
        """The formula: one value per sample, ``B``, of features ``B K h w d``."""
        raise NotImplementedError(f"A feature term has its formula in `compare`; {type(self).__name__} has none.")

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor:
        """One value per sample, ``B``."""
        with torch.autocast(student.logits.device.type, enabled=False):
            return self.compare(*self.features(student, teacher), batch)
