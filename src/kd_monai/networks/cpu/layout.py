"""Where a network's numbers lie in memory, and which of its copies are idle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from monai.networks.nets.basic_unet import UpCat
from torch import nn

from kd_monai.networks.cpu.shallow_convolutions import spare_shallow_convolutions
from kd_monai.networks.cpu.split_convolutions import split_convolutions

MemoryFormat = Literal["auto", "channels_last", "contiguous"]
NARROW = 12
"""Channels of the narrowest 3 x 3 x 3 convolution up to which `channels_last` pays: see `resolved_memory_format`."""
_BASIC_UNET_STRIDE = 16


def resolved_memory_format(
    network: nn.Module, device: torch.device | str, precision: str, memory_format: MemoryFormat = "auto"
) -> Literal["channels_last", "contiguous"]:
    """What `memory_format` comes to for this network.

    `auto` is channels_last on a CPU for a narrow network with instance normalisation, contiguous otherwise and in
    float32 on a CPU that has AVX-512. Of a step's seconds channels_last took 0.64 to 0.82 (BasicUNet and DynUNet of 8
    to 12 channels, 48^3 to 128^3, bf16), but 0.99 to 1.35 at 16 channels or more and with the group normalisation of
    SegResNet, and 0.90 to 1.26 in float32 (2 cores with AVX512-BF16, torch 2.13); on 2 cores with AVX2 alone, in
    float32, 0.8 (BasicUNet of 8 channels, 64^3). Nothing is timed here: the same configuration must give the same
    weights.

    Args:
        network: read only.
        device: where it runs.
        precision: `bf16` or `fp32`, resolved.
        memory_format: a wish, or `auto`.

    Raises:
        ValueError: an unknown memory format.
    """
    if memory_format not in get_args(MemoryFormat):
        raise ValueError(f"`memory_format` must be one of {list(get_args(MemoryFormat))}; got {memory_format!r}.")
    if memory_format != "auto":
        return memory_format
    widths = [m.out_channels for m in network.modules() if isinstance(m, nn.Conv3d) and m.kernel_size == (3, 3, 3)]
    narrow = bool(widths) and min(widths) <= NARROW
    instance = any(isinstance(module, nn.InstanceNorm3d) for module in network.modules())
    cpu = torch.device(device).type == "cpu"
    pays = precision == "bf16" or torch.backends.cpu.get_cpu_capability() == "AVX2"
    return "channels_last" if cpu and pays and narrow and instance else "contiguous"


def lay_out(
    network: nn.Module,
    device: torch.device | str,
    precision: str,
    roi_size: Sequence[int],
    memory_format: MemoryFormat = "auto",
) -> nn.Module:
    """Put a network on its device in its memory format, in place, and spare it padding by zero voxels.

    MONAI's BasicUNet pads every skip connection to the sizes of its upsampled counterpart: a copy and its gradient even
    where nothing is to be padded, as with windows of multiples of 16. Leaving it out changes no value. On a CPU
    `spare_shallow_convolutions` and `split_convolutions` follow.

    Args:
        network: changed in place.
        device: where it runs.
        precision: `bf16` or `fp32`, resolved.
        roi_size: window in voxels; every forward pass must be of windows of this size, or of multiples of 16.
        memory_format: see `resolved_memory_format`.

    Returns:
        The same network.
    """
    network = network.to(device)
    if resolved_memory_format(network, device, precision, memory_format) == "channels_last":
        network = network.to(memory_format=torch.channels_last_3d)
    if not any(side % _BASIC_UNET_STRIDE for side in roi_size):
        for module in network.modules():
            if isinstance(module, UpCat):
                module.is_pad = False
    if torch.device(device).type == "cpu":
        split_convolutions(spare_shallow_convolutions(network))
    return network
