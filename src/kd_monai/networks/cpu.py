"""Where a network's numbers lie in memory, and ways around two faults of torch's convolutions on a CPU."""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from kd_monai.errors import UserError

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

    The weight gradient of a bf16 ``Conv3d`` of stride 1 can read memory that nobody wrote (torch 2.13 with AVX512-BF16;
    kernels 3 and 5). The input then has more than 1 slice along its first axis, but fewer than the kernel. In most runs
    it is rounding noise, in some 1e30 or infinity. A BasicUNet meets it at its bottleneck with patches of 32 voxels.

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
