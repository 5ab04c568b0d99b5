"""Logits around the box that a network looked at, on the grid an image came in."""

from __future__ import annotations

from torch import Tensor

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
        ValueError: a logit is infinite or NaN.

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
        raise ValueError(
            "The network's output must be finite, and is not: its weights are damaged. Train the run again."
        )
    return logits * (absolute > RIM * largest).any(0, keepdim=True)
