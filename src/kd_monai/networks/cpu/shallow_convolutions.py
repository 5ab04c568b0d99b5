"""A way around a silent error of bf16 convolutions on CPUs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def _is_broken(conv: nn.Module, image: Tensor) -> bool:
    return conv.stride[0] == 1 and 1 < image.shape[2] < conv.kernel_size[0]


class _InFloat32:
    """Hooks that switch autocast off around one convolution; an object, so that a network stays copyable."""

    def __init__(self) -> None:
        self._switched = False

    def before(self, conv: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        self._switched = torch.is_autocast_enabled("cpu") and _is_broken(conv, inputs[0])
        if not self._switched:
            return None
        torch.set_autocast_enabled("cpu", False)
        return (inputs[0].float(),)

    def after(self, conv: nn.Module, inputs: Any, output: Any) -> None:
        if self._switched:
            torch.set_autocast_enabled("cpu", True)
            self._switched = False


def spare_shallow_convolutions(network: nn.Module) -> nn.Module:
    """Compute in float32 what oneDNN gets wrong in bf16: convolutions deeper than their input, on a CPU.

    The weight gradient of a bf16 ``Conv3d`` of stride 1 whose input has more than 1 but fewer slices along its first
    axis than the kernel reads memory that nobody wrote (torch 2.13 with AVX512-BF16; kernels 3 and 5): in most
    runs rounding noise, in some 1e30 or infinity. A BasicUNet meets it at its bottleneck with patches of 32 voxels.

    No upstream issue describes this one; docs/notes/onednn-bf16-weight-gradient.md is its report, with a program that
    shows it. pytorch/pytorch#169688 and #163347 are of the same kernels' forward pass. It can go once that program
    prints four small numbers with the oldest torch that setup.cfg allows.

    Args:
        network: gets hooks at its convolutions; weights and their names stay.

    Returns:
        The same network.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv3d) and module.kernel_size[0] > 1:
            guard = _InFloat32()
            module.register_forward_pre_hook(guard.before)
            module.register_forward_hook(guard.after, always_call=True)
    return network
