"""From inverted logits to what is scored and saved: on the grid an image came in, 0 where no network looked."""

from __future__ import annotations

from torch import Tensor

from kd_monai.errors import UserError
from kd_monai.outputs import Head

RIM = 1e-4
"""Share of the largest absolute logit below which a voxel was not looked at: the weight that interpolation in float32
gives to a neighbour by rounding stays below 1e-5."""


def without_rim(logits: Tensor) -> Tensor:
    """Logits that are 0 again where only rounding put something.

    Around the brain's box Invertd pads with 0, and where grids share voxel centres (2 mm to 1 mm) interpolation leaves
    the box's neighbours at up to 1e-5 of its logits, whose sign would decide what they are. ``inference.yaml`` does
    the same in stock MONAI.

    Args:
        logits: ``C H W D``, of one case, inverted.

    Returns:
        The logits, 0 in voxels whose absolute values are all at most `RIM` times the largest of the case.

    Raises:
        UserError: a logit is infinite or NaN.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[5.0, 1e-5, 1e-5], [-2.0, 3.0, -1e-5]]).reshape(2, 1, 1, 3)
        >>> without_rim(logits)[:, 0, 0] != 0
        tensor([[ True,  True, False],
                [ True,  True, False]])
    """
    absolute = logits.abs()
    largest = absolute.max()
    if not largest.isfinite():
        raise UserError(
            "The network's output must be finite, and is not: its weights are damaged. Train the run again."
        )
    return logits * (absolute > RIM * largest).any(0, keepdim=True)


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
