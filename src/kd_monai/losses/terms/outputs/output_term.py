"""What every term on outputs is: two networks of one head, and a formula in float32."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from kd_monai.errors import UserError
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
