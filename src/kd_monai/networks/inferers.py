"""How a network runs: on which device, in which precision, and frozen by torch or by OpenVINO."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from monai.inferers import Inferer, SimpleInferer, SlidingWindowInferer
from torch import Tensor, nn

from kd_monai.errors import UserError
from kd_monai.networks.openvino_forward import OpenVINOForward
from kd_monai.outputs import FeatureTaps

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
        precision: see `autocast`.
    """

    def __init__(
        self,
        device: torch.device | str,
        roi_size: list[int],
        overlap: float = 0.5,
        precision: Precision = "auto",
    ) -> None:
        super().__init__(roi_size=roi_size, overlap=overlap, sw_batch_size=1, mode="gaussian")
        self.network_device, self.precision = device, precision

    def __call__(self, inputs: Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> Tensor:
        """Logits ``B C H W D`` of ``B M H W D``."""

        def forward(window: Tensor) -> Tensor:
            with autocast(self.network_device, self.precision):
                return network(window).float()

        with torch.no_grad():
            # MONAI gives the logits the image's metadata, which Invertd needs
            return super().__call__(inputs, forward)


def check_device(name: str) -> None:
    """Try a device that somebody named.

    Raises:
        UserError: this machine has none of this name.
    """
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        raise UserError(
            f"DEVICE must be a device of this machine, cpu or cuda; got {name!r}: {str(error).splitlines()[0]} "
            "Leave it empty to take a GPU where there is one."
        ) from error


logger = logging.getLogger(__name__)

Runtime = Literal["auto", "torch", "openvino"]
Forward = Callable[[Tensor], tuple[Tensor, dict[str, Tensor]]]
"""Image ``B M H W D`` -> logits ``B C H W D`` and tapped layers by name."""
PAYS_AFTER_STEPS = 200
"""Steps that save, at 0.06 to 0.09 s each on two cores, several times the 2 to 4 s in which OpenVINO compiles."""


class FrozenNetwork(nn.Module):
    """A network in eval mode whatever `train()` says, without gradients."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> FrozenNetwork:
        """Stay in eval mode."""
        return super().train(False)

    def forward(self, image: Tensor) -> Tensor:
        """Logits ``B C H W D``."""
        return self.network(image)


class TorchForward:
    """Logits and layers of a frozen network, computed by torch.

    Args:
        network: on its device.
        layers: names of layers to return.
        inferer: the forward pass, with its precision.

    Raises:
        UserError: a name is no layer of the network, or layers are asked of the mean of several.
    """

    def __init__(self, network: FrozenNetwork, layers: Sequence[str], inferer: Inferer) -> None:
        self.network, self.inferer, self.taps = network, inferer, FeatureTaps(network.network, layers)

    def __call__(self, image: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Logits ``B C H W D`` and layers by name of an image ``B M H W D``."""
        self.taps.open()
        try:
            with torch.no_grad():
                logits = self.inferer(image, self.network)
        finally:
            features = self.taps.close()
        return logits, features


def wished_runtime(runtime: Runtime, device: torch.device | str, steps: int) -> Literal["torch", "openvino"]:
    """The runtime that was asked for, or the one that pays here if it works.

    Args:
        runtime: the user's; `auto` takes OpenVINO on a CPU where it is installed (extra ``[fast]``), for
            `PAYS_AFTER_STEPS` or more.
        device: where the network is.
        steps: passes that are to come, of each network.

    Raises:
        UserError: OpenVINO was asked for on another device.
    """
    on_cpu = torch.device(device).type == "cpu"
    if runtime == "openvino" and not on_cpu:
        raise UserError(
            f"`teacher_runtime: openvino` runs the teacher on a CPU; this training is on {device}. "
            "Set `teacher_runtime: torch`, or `auto`."
        )
    if runtime == "auto":
        return "openvino" if on_cpu and openvino_is_installed() and steps >= PAYS_AFTER_STEPS else "torch"
    return runtime


def openvino_forwards(
    networks: Sequence[FrozenNetwork], layers: Sequence[str], precision: str, shape: Sequence[int], required: bool
) -> list[OpenVINOForward]:
    """A pass of each network that gave torch's outputs of one patch; none where one does not.

    Args:
        networks: on the CPU.
        layers: names of layers to return.
        precision: `bf16` or `fp32`, resolved.
        shape: of the patch, ``B M H W D``.
        required: refuse instead of falling back on torch.

    Raises:
        UserError: it is required, and not installed, cannot run a network, or computes something else than torch.
    """
    # the run's own numbers are not drawn
    patch = torch.randn(tuple(shape), generator=torch.Generator().manual_seed(0))
    try:
        forwards = [OpenVINOForward(frozen.network, layers, precision) for frozen in networks]
        for forward in forwards:
            forward.check(patch)
    except Exception as error:  # whatever it is, torch needs none of it
        cause = f"{type(error).__name__}: {error}"
        if required:
            raise UserError(
                f"`teacher_runtime: openvino` needs a teacher that it runs as torch does; got {cause}\n"
                "Set `teacher_runtime: torch`, or `auto`."
            ) from error
        logger.warning("The teacher runs through torch, for openvino does not run it as torch does: %s", cause)
        return []
    return forwards


def openvino_is_installed() -> bool:
    """Whether the extra ``[fast]`` is there."""
    return importlib.util.find_spec("openvino") is not None
