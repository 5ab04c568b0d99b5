"""Probabilities of the regions on the grid an image came in."""

from __future__ import annotations

from torch import Tensor

from kd_monai.outputs import Head


def native_probabilities(logits: Tensor, head: Head) -> Tensor:
    """Probabilities of TC, WT, ET, 0 where the network never looked.

    Around the brain's box Invertd and `without_rim` leave logits of exactly 0, a probability of one half that nobody
    predicted.

    Args:
        logits: ``C H W D``, of one case, inverted, without the rim.
        head: how they are read.

    Returns:
        float32 ``3 H W D``.

    Example:
        >>> import torch
        >>> from kd_monai.networks.heads import RegionsHead
        >>> logits = torch.tensor([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0]]).reshape(3, 1, 1, 2)
        >>> native_probabilities(logits, RegionsHead()).squeeze()
        tensor([[0.5000, 0.0000],
                [0.5000, 0.0000],
                [0.7311, 0.0000]])
    """
    looked = (logits != 0).any(0, keepdim=True)
    return head.region_probabilities(logits[None].float())[0] * looked
