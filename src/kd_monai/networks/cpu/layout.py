"""Where a network's numbers lie in memory."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import nn

from kd_monai.errors import UserError
from kd_monai.networks.cpu.shallow_convolutions import spare_shallow_convolutions
from kd_monai.networks.cpu.split_convolutions import split_convolutions

MemoryFormat = Literal["auto", "channels_last", "contiguous"]
NARROW = 12
"""Channels of the narrowest 3 x 3 x 3 convolution up to which `channels_last` pays: see `resolved_memory_format`."""


def resolved_memory_format(
    network: nn.Module, device: torch.device | str, memory_format: MemoryFormat = "auto"
) -> Literal["channels_last", "contiguous"]:
    """What `memory_format` comes to for this network.

    `auto` is channels_last on a CPU for a narrow network with instance normalisation, contiguous otherwise. Of a step's
    seconds channels_last took 0.73 in bf16 and 0.79 in float32 (BasicUNet of 8 channels, 64^3, 2 cores with
    AVX512-BF16), and 0.8 in float32 with AVX2 alone; but 0.99 to 1.35 at 16 channels or more and with the group
    normalisation of SegResNet. Nothing is timed here: the same configuration must give the same weights.

    Args:
        network: read only.
        device: where it runs.
        memory_format: a wish, or `auto`.

    Raises:
        UserError: an unknown memory format.
    """
    if memory_format not in get_args(MemoryFormat):
        raise UserError(f"`memory_format` must be one of {list(get_args(MemoryFormat))}; got {memory_format!r}.")
    if memory_format != "auto":
        return memory_format
    widths = [m.out_channels for m in network.modules() if isinstance(m, nn.Conv3d) and m.kernel_size == (3, 3, 3)]
    narrow = bool(widths) and min(widths) <= NARROW
    instance = any(isinstance(module, nn.InstanceNorm3d) for module in network.modules())
    cpu = torch.device(device).type == "cpu"
    return "channels_last" if cpu and narrow and instance else "contiguous"


def lay_out(network: nn.Module, device: torch.device | str, memory_format: MemoryFormat = "auto") -> nn.Module:
    """Put a network on its device in its memory format, in place.

    On a CPU `spare_shallow_convolutions` and `split_convolutions` follow.

    Args:
        network: changed in place.
        device: where it runs.
        memory_format: see `resolved_memory_format`.

    Returns:
        The same network.
    """
    network = network.to(device)
    if resolved_memory_format(network, device, memory_format) == "channels_last":
        network = network.to(memory_format=torch.channels_last_3d)
    if torch.device(device).type == "cpu":
        split_convolutions(spare_shallow_convolutions(network))
    return network
