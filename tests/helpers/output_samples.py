"""Logits, references and values for tests of terms on outputs."""

from __future__ import annotations

import torch
from torch import nn

from kd_monai.networks import LabelsHead, RegionsHead
from kd_monai.outputs import Batch, Head, Outputs

HEADS: list[Head] = [RegionsHead(), LabelsHead()]
SIDES = (3, 4, 5)


def logits(head: Head, seed: int, size: float = 3.0) -> torch.Tensor:
    """Two samples of random logits."""
    return size * torch.randn(2, head.out_channels, *SIDES, generator=torch.Generator().manual_seed(seed))


def regions(seed: int = 0) -> torch.Tensor:
    """Nested random regions, each of them in some voxels of each sample."""
    depth = torch.randint(0, 4, (2, *SIDES), generator=torch.Generator().manual_seed(seed))
    return torch.stack([depth >= 2, depth >= 1, depth >= 3], 1).float()


def batch(progress: float = 1.0, label: torch.Tensor | None = None) -> Batch:
    """With a reference; the images are read by no term on outputs."""
    label = regions() if label is None else label
    return Batch(label, label[:, :1], label, progress)


def value(
    term: nn.Module, head: Head, teacher: torch.Tensor, student: torch.Tensor, of: Batch | None = None
) -> torch.Tensor:
    """What the term gives for these logits."""
    return term(Outputs(student, head), Outputs(teacher, head), of or batch())


def kept_for_the_backward_pass(term: nn.Module, head: Head) -> list[tuple[int, ...]]:
    """Shapes of the tensors that it keeps until the student's gradient is asked for."""
    kept: list[torch.Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        value(term, head, logits(head, 0), logits(head, 1).requires_grad_())
    return [tuple(tensor.shape) for tensor in kept]
