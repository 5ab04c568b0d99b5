"""The two ways in which logits are read: overlapping regions, or exclusive labels."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from kd_monai.errors import UserError
from kd_monai.task import OUTPUT_LABELS


def compose_label_map(regions: Tensor) -> Tensor:
    """One exclusive label map from region masks: enhancing over core over oedema, so that nested regions hold.

    Args:
        regions: bool ``B 3 H W D`` (TC, WT, ET).

    Returns:
        uint8 ``B 1 H W D`` with 0 background, 1 core, 2 oedema, 3 enhancing.

    Example:
        >>> regions = torch.tensor([[[[[True]]], [[[False]]], [[[False]]]]])  # TC without WT
        >>> compose_label_map(regions).item()
        1
    """
    core, whole, enhancing = regions.bool().unbind(1)
    labels = torch.zeros(core.shape, dtype=torch.uint8, device=regions.device)
    labels[whole] = OUTPUT_LABELS["oedema"]
    labels[core] = OUTPUT_LABELS["core"]
    labels[enhancing] = OUTPUT_LABELS["enhancing"]
    return labels.unsqueeze(1)


def regions_of(label_map: Tensor) -> Tensor:
    """Nested region masks, bool ``B 3 H W D`` (TC, WT, ET), of a label map ``B 1 H W D`` of `compose_label_map`."""
    enhancing = label_map == OUTPUT_LABELS["enhancing"]
    return torch.cat([(label_map == OUTPUT_LABELS["core"]) | enhancing, label_map > 0, enhancing], dim=1)


class RegionsHead:
    """Sigmoid over TC, WT, ET: the regions overlap and are scored as they are predicted (No New-Net, BraTS)."""

    name = "regions"
    out_channels = 3

    def probabilities(self, logits: Tensor, temperature: float = 1.0) -> Tensor:
        """``sigmoid(z / T)``, ``B 3 H W D``."""
        return torch.sigmoid(logits / temperature)

    def target(self, regions: Tensor) -> Tensor:
        """The regions themselves, ``B 3 H W D``."""
        return regions

    def region_probabilities(self, logits: Tensor) -> Tensor:
        """``sigmoid(z)``, ``B 3 H W D`` (TC, WT, ET)."""
        return torch.sigmoid(logits)

    def label_map(self, logits: Tensor) -> Tensor:
        """uint8 ``B 1 H W D``: regions at probability 0.5, laid over each other."""
        return compose_label_map(logits > 0)

    def mean_logits(self, logits: list[Tensor]) -> Tensor:
        """``logit(mean sigmoid(z_i))``, ``B 3 H W D``, float32; finite where a probability rounds to 0 or 1."""
        z = torch.stack(logits).float()
        return F.logsigmoid(z).logsumexp(0) - F.logsigmoid(-z).logsumexp(0)


class LabelsHead:
    """Softmax over background, core, oedema, enhancing (figure 1 of KD-Net); regions are sums of these parts."""

    name = "labels"
    out_channels = 4

    def probabilities(self, logits: Tensor, temperature: float = 1.0) -> Tensor:
        """``softmax(z / T)`` over the classes, ``B 4 H W D``."""
        return torch.softmax(logits / temperature, dim=1)

    def target(self, regions: Tensor) -> Tensor:
        """One-hot ``B 4 H W D``: background, TC without ET, WT without TC, ET."""
        core, whole, enhancing = regions.unbind(1)
        core = torch.maximum(core, enhancing)
        whole = torch.maximum(whole, core)
        return torch.stack([1 - whole, core - enhancing, whole - core, enhancing], dim=1)

    def region_probabilities(self, logits: Tensor) -> Tensor:
        """``B 3 H W D``: TC = core + enhancing, WT = core + oedema + enhancing, ET; 1 at most (sums are rounded)."""
        p = self.probabilities(logits)
        return torch.stack([p[:, 1] + p[:, 3], p[:, 1:].sum(1), p[:, 3]], dim=1).clamp(max=1)

    def label_map(self, logits: Tensor) -> Tensor:
        """uint8 ``B 1 H W D``: the most probable class."""
        return logits.argmax(1, keepdim=True).to(torch.uint8)

    def mean_logits(self, logits: list[Tensor]) -> Tensor:
        """``log(mean softmax(z_i))``, ``B 4 H W D``, float32."""
        return torch.stack(logits).float().log_softmax(2).logsumexp(0) - math.log(len(logits))


def head(name: str) -> RegionsHead | LabelsHead:
    """The head of this name.

    Raises:
        UserError: the name is neither `regions` nor `labels`.
    """
    for cls in (RegionsHead, LabelsHead):
        if cls.name == name:
            return cls()
    raise UserError(f"`head` must be 'regions' (sigmoid over TC, WT, ET) or 'labels' (softmax); got {name!r}.")
