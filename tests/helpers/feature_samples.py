"""Features and labels for tests of terms that read layers."""

from __future__ import annotations

import torch
from torch import Tensor

from kd_monai.networks import RegionsHead
from kd_monai.outputs import Batch, Outputs

SHAPE = (2, 5, 6, 4, 8)
"""Two samples, five channels, unequal sides."""


def features(seed: int, shape: tuple[int, ...] = SHAPE) -> Tensor:
    """Random features around 0."""
    return 3 * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def regions(size: tuple[int, ...] = SHAPE[2:]) -> Tensor:
    """Nested TC, WT, ET of two samples; the second has no ET."""
    label = torch.zeros(2, 3, *size)
    h, w, d = size
    label[:, 1, : 2 * h // 3] = 1
    label[:, 0, : h // 3, : w // 2] = 1
    label[0, 2, : h // 3, : w // 2, : d // 2] = 1
    return label


def part_masks(label: Tensor) -> list[Tensor]:
    """Background, WT - TC, TC - ET and ET of one sample's regions, bool."""
    core, whole, enhancing = label.bool()
    return [~whole, whole & ~core, core & ~enhancing, enhancing]


def outputs(layer: Tensor) -> Outputs:
    """Outputs with one tapped layer, ``layer``."""
    return Outputs(torch.zeros(layer.shape[0], 3, 2, 2, 2), RegionsHead(), {"layer": layer})


def batch(label: Tensor) -> Batch:
    """A batch of which terms read the label alone."""
    return Batch(label, label, label)
