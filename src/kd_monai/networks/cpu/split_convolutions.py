"""A way to oneDNN for float32 convolutions of a single small sample, which torch keeps from it on CPUs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

SMALL = 20480
"""Up to this product of batch, channels, height and width torch 2.13 takes its own, slow convolution (`use_mkldnn`)."""
DEEP = 8
"""Slices from which the halves' common slices cost less than oneDNN saves."""


def _is_kept_from_onednn(image: Tensor) -> bool:
    batch, channels, height, width = image.shape[:4]
    single = batch == 1 and channels * height * width <= SMALL
    return single and image.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")


class _AsTwoSamples:
    """Hooks that halve a volume before a convolution and join it behind; an object, so that a network is copyable."""

    def __init__(self, halo: int) -> None:
        self._halo = halo
        self._half = 0

    def before(self, conv: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        (image,) = inputs
        self._half = 0
        if torch.jit.is_tracing():  # for another runtime, which has no need of halves
            return None
        if image.shape[2] % 2 or image.shape[2] < DEEP * self._halo or not _is_kept_from_onednn(image):
            return None
        self._half = image.shape[2] // 2
        return (torch.cat([image[:, :, : self._half + self._halo], image[:, :, self._half - self._halo :]]),)

    def after(self, conv: nn.Module, inputs: Any, output: Tensor) -> Tensor | None:
        if not self._half:
            return None
        half, self._half = self._half, 0
        return torch.cat([output[:1, :, :half], output[1:, :, self._halo :]], 2)


def split_convolutions(network: nn.Module) -> nn.Module:
    """Compute float32 convolutions of one small sample as two halves that overlap by the kernel's reach, on a CPU.

    Torch gives a float32 ``Conv3d`` to oneDNN only for several samples, or for a large one; what it does itself took
    3 to 15 times as long (8 to 32 channels, 16^3 to 32^3, 2 cores with AVX2, torch 2.13). Two halves with their common
    slices are two samples. Every voxel is the sum of the same products; their order may differ.

    The rule is torch's since pytorch/pytorch#40610, until #35937 (oneDNN slower than torch's own code) is resolved,
    which is open. This can go with the first torch whose `use_mkldnn` no longer asks for the batch's size.

    Args:
        network: gets hooks at its convolutions of stride 1 that keep the size; weights and their names stay.

    Returns:
        The same network.
    """
    for module in network.modules():
        if not isinstance(module, nn.Conv3d) or module.groups > 1 or module.padding_mode != "zeros":
            continue
        halo = module.kernel_size[0] // 2
        keeps_size = halo > 0 and module.padding[0] == halo and module.kernel_size[0] % 2
        if keeps_size and module.stride[0] == 1 and module.dilation[0] == 1 and max(module.kernel_size) <= 3:
            hooks = _AsTwoSamples(halo)
            module.register_forward_pre_hook(hooks.before)
            module.register_forward_hook(hooks.after)
    return network
