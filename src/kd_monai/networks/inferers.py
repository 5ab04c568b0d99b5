"""Precision around a forward pass: bf16 autocast where the hardware has it, for patches and for whole volumes."""

from __future__ import annotations

from typing import Any, Literal

import torch
from monai.inferers import SimpleInferer, SlidingWindowInferer
from torch import Tensor, nn

from kd_monai.errors import UserError

Precision = Literal["auto", "bf16", "fp32"]


def has_fast_bf16(device: torch.device | str) -> bool:
    """Whether bf16 matrix instructions exist on this device (CUDA from Ampere on, CPUs with AVX512-BF16 or AMX)."""
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if kind == "cpu":
        # torch before 2.11 cannot be asked, and computes in float32
        capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") or capabilities.get("bf16"))
    return False


def resolved_precision(device: torch.device | str, precision: Precision = "auto") -> Literal["bf16", "fp32"]:
    """What `precision` comes to on this device.

    Raises:
        UserError: an unknown precision.
    """
    if precision not in ("auto", "bf16", "fp32"):
        raise UserError(f"`precision` must be 'auto', 'bf16' or 'fp32'; got {precision!r}.")
    return "bf16" if precision == "bf16" or (precision == "auto" and has_fast_bf16(device)) else "fp32"


def autocast(device: torch.device | str, precision: Precision = "auto") -> torch.autocast:
    """The autocast context of a forward pass; MONAI's own `amp=True` knows CUDA alone and does nothing on a CPU.

    Args:
        device: where the network runs.
        precision: `auto` takes bf16 where `has_fast_bf16`; bf16 has float32's range, so no gradient scaler is needed.

    Raises:
        UserError: an unknown precision.
    """
    enabled = resolved_precision(device, precision) == "bf16"
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=enabled)


class AutocastInferer(SimpleInferer):
    """One forward pass under `autocast`; gives float32 logits.

    Args:
        device: where the network runs.
        precision: see `autocast`.
    """

    def __init__(self, device: torch.device | str, precision: Precision = "auto") -> None:
        super().__init__()
        self.device, self.precision = device, precision

    def __call__(self, inputs: Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> Tensor:
        """Logits ``B C H W D`` of ``B M H W D``."""
        with autocast(self.device, self.precision):
            # without MONAI's metadata, which costs time in every operation
            return network(inputs.as_subclass(Tensor), *args, **kwargs).float()


class AutocastSlidingWindowInferer(SlidingWindowInferer):
    """MONAI's Gaussian sliding window under `autocast`; gives float32 logits of whole volumes.

    Args:
        device: where the network runs.
        roi_size: window in voxels.
        overlap: share by which neighbouring windows overlap.
        sw_batch_size: windows per forward pass.
        precision: see `autocast`.
    """

    def __init__(
        self,
        device: torch.device | str,
        roi_size: list[int],
        overlap: float = 0.5,
        sw_batch_size: int = 1,
        precision: Precision = "auto",
    ) -> None:
        super().__init__(roi_size=roi_size, overlap=overlap, sw_batch_size=sw_batch_size, mode="gaussian")
        self.network_device, self.precision = device, precision

    def __call__(self, inputs: Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> Tensor:
        """Logits ``B C H W D`` of ``B M H W D``."""

        def forward(window: Tensor) -> Tensor:
            with autocast(self.network_device, self.precision):
                return network(window).float()

        with torch.no_grad():
            # MONAI gives the logits the image's metadata, which Invertd needs
            return super().__call__(inputs, forward)
