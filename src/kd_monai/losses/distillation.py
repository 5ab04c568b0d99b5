"""The whole loss of a training: the segmentation loss and the weighted distillation terms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from kd_monai.outputs import Batch, Outputs


class DistillationLoss(nn.Module):
    """``segmentation_weight * L_seg(z_s, y) + sum_i weight_i * mean_B term_i(student, teacher, batch)``.

    The trainer calls a loss with the prediction and the label alone, so the rest arrives in a slot: a handler fills it
    before the call and the call empties it. Without terms this is the plain baseline and no slot is needed.

    Args:
        segmentation: loss of logits ``B C H W D`` against regions ``B 3 H W D``, a scalar.
        segmentation_weight: its weight; 1 - lambda in KD-Net.
        terms: name -> ``{"weight": float, "term": module}``; a term takes (student, teacher, batch) and gives ``B``.

    Attributes:
        named: detached, unweighted scalars of the last call by name, for the tracker.

    Raises:
        ValueError: an entry of `terms` has other keys, or a negative weight.
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
                raise ValueError(
                    f"A distillation term is {{weight: number >= 0, term: module}}; got {dict(entry)} for {name!r}."
                )
        self.segmentation = segmentation
        self.segmentation_weight = float(segmentation_weight)
        self.weights = {name: float(entry["weight"]) for name, entry in terms.items()}
        self.terms = nn.ModuleDict({name: entry["term"] for name, entry in terms.items()})
        self.named: dict[str, Tensor] = {}
        self._slot: tuple[Outputs, Outputs, Batch] | None = None

    @property
    def feature_pairs(self) -> list[tuple[str, str]]:
        """(teacher, student) layer names that feature terms compare."""
        return sorted({pair for term in self.terms.values() for pair in getattr(term, "pairs", [])})

    def fill(self, student: Outputs, teacher: Outputs, batch: Batch) -> None:
        """Put what the next call needs into the slot."""
        self._slot = (student, teacher, batch)

    def clear(self) -> None:
        """Empty the slot and forget the named values, after a step or an exception."""
        self._slot = None
        self.named = {}

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """Scalar loss of logits ``B C H W D`` and float regions ``B 3 H W D``.

        Raises:
            RuntimeError: there are terms and nobody filled the slot since the last call.
        """
        segmentation = self.segmentation(logits, label)
        self.named = {"segmentation": segmentation.detach()}
        total = self.segmentation_weight * segmentation
        if not self.terms:
            return total
        if self._slot is None:
            raise RuntimeError(
                f"Terms {sorted(self.terms)} need the teacher's outputs and the slot is empty: attach "
                "kd_monai.handlers.TeacherHandler to the trainer (it fills the slot once per step)."
            )
        student, teacher, batch = self._slot
        self._slot = None
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
