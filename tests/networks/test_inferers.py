"""Precision takes effect on a CPU too, and a sliding window is a plain pass where one window covers the volume."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from monai.data import MetaTensor
from monai.engines import SupervisedTrainer
from monai.networks.nets import BasicUNet
from torch import nn

from kd_monai.networks.inferers import AutocastInferer, AutocastSlidingWindowInferer, autocast, has_fast_bf16

PRECISIONS = [("bf16", torch.bfloat16), ("fp32", torch.float32)]


class Watched(nn.Module):
    """A convolution that remembers in which precision it computed."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Conv3d(1, 3, 3, padding=1)
        self.seen: list[torch.dtype] = []
        self.types: list[type] = []

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        logits = self.layer(image)
        self.seen.append(logits.dtype)
        self.types.append(type(image))
        return logits


def volume(*sides: int) -> torch.Tensor:
    return torch.randn(1, 1, *sides, generator=torch.Generator().manual_seed(1))


INFERERS: list[Callable[[Any], Any]] = [
    lambda precision: AutocastInferer("cpu", precision),
    lambda precision: AutocastSlidingWindowInferer("cpu", [8, 8, 8], precision=precision),
]


@pytest.mark.parametrize("make", INFERERS)
@pytest.mark.parametrize(("precision", "dtype"), PRECISIONS)
def test_the_network_computes_in_the_precision_asked_for_and_logits_are_float32(make, precision: str, dtype) -> None:
    network = Watched()
    logits = make(precision)(volume(8, 8, 8), network)
    assert network.seen == [dtype]
    assert logits.dtype == torch.float32
    expected = network.layer(volume(8, 8, 8))
    torch.testing.assert_close(logits, expected, rtol=0, atol=0.02 if precision == "bf16" else 1e-6)


@pytest.mark.parametrize("make", INFERERS)
def test_auto_takes_bf16_where_the_hardware_has_it(make, monkeypatch: pytest.MonkeyPatch) -> None:
    for has, dtype in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr("kd_monai.networks.inferers.has_fast_bf16", lambda device, has=has: has)
        network = Watched()
        make("auto")(volume(8, 8, 8), network)
        assert network.seen == [dtype]


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx512_f": True, "avx512_bf16": False}, False),
        ({"avx512_bf16": True}, True),
        ({"amx_bf16": True}, True),
        ({"architecture": "arm64", "bf16": True}, True),
        ({}, False),
    ],
)
def test_a_processor_is_asked_for_its_instructions(capabilities, expected, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert has_fast_bf16("cpu") is expected


def test_a_torch_that_cannot_be_asked_and_a_device_that_is_unknown_compute_in_float32(monkeypatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert not has_fast_bf16("cpu")
    assert not has_fast_bf16("meta")


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'auto', 'bf16' or 'fp32'.*fp16"):
        autocast("cpu", "fp16")  # type: ignore[arg-type]


def trained_dtype(**settings: Any) -> torch.dtype:
    network = Watched()
    batch = {"image": volume(8, 8, 8), "label": torch.zeros(1, 3, 8, 8, 8)}
    SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=1,
        train_data_loader=[batch],
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), 0.1),
        loss_function=nn.MSELoss(),
        decollate=False,
        **settings,
    ).run()
    return network.seen[0]


@pytest.mark.filterwarnings("ignore")
def test_monais_own_amp_does_nothing_on_a_cpu_and_the_inferer_does() -> None:
    assert trained_dtype(amp=True) == torch.float32
    assert trained_dtype(inferer=AutocastInferer("cpu", "bf16")) == torch.bfloat16


def test_gradients_of_a_bf16_pass_are_float32_and_finite() -> None:
    network = Watched()
    AutocastInferer("cpu", "bf16")(volume(8, 8, 8), network).square().mean().backward()
    assert network.layer.weight.grad is not None
    assert network.layer.weight.grad.dtype == torch.float32
    assert torch.isfinite(network.layer.weight.grad).all()


def unet() -> nn.Module:
    torch.manual_seed(0)
    return BasicUNet(3, 1, 3, features=[2, 2, 2, 2, 4, 2], upsample="nontrainable").eval()


def test_a_window_as_large_as_the_volume_equals_a_plain_pass() -> None:
    network, image = unet(), volume(32, 32, 32)
    slid = AutocastSlidingWindowInferer("cpu", [32, 32, 32], 0.5, precision="fp32")(image, network)
    torch.testing.assert_close(slid, AutocastInferer("cpu", "fp32")(image, network), rtol=1e-4, atol=1e-5)


def test_a_volume_smaller_than_the_window_comes_back_in_its_own_size() -> None:
    slid = AutocastSlidingWindowInferer("cpu", [32, 32, 32], 0.5, precision="fp32")(volume(20, 32, 9), unet())
    assert slid.shape == (1, 3, 20, 32, 9)


def test_overlapping_windows_of_a_local_network_agree_with_a_plain_pass() -> None:
    """Gaussian weights are a mean of windows that agree, whatever the overlap; sides are unequal."""
    network = nn.Conv3d(1, 2, 1)
    image = volume(10, 20, 17)
    for overlap in (0.25, 0.5):
        slid = AutocastSlidingWindowInferer("cpu", [8, 8, 8], overlap, precision="fp32")(image, network)
        torch.testing.assert_close(slid, network(image).detach(), rtol=1e-4, atol=1e-5)


def test_no_graph_is_kept_of_a_whole_volume() -> None:
    slid = AutocastSlidingWindowInferer("cpu", [8, 8, 8])(volume(12, 8, 8), Watched())
    assert not slid.requires_grad


def test_metadata_reaches_the_logits_and_not_the_network() -> None:
    """Invertd needs them; in the network every operation on a MetaTensor costs time."""
    affine = torch.diag(torch.tensor([2.0, 1, 3, 1]))
    image = MetaTensor(volume(12, 8, 8), affine=affine, meta={"filename_or_obj": "a.nii.gz"})
    image.push_applied_operation({"class": "Orientation"})
    network = Watched()
    logits = AutocastSlidingWindowInferer("cpu", [8, 8, 8])(image, network)
    assert isinstance(logits, MetaTensor)
    assert torch.equal(logits.affine.double(), affine.double())
    assert logits.meta["filename_or_obj"] == "a.nii.gz"
    assert logits.applied_operations == image.applied_operations
    assert set(network.types) == {torch.Tensor}
    AutocastInferer("cpu")(image, network)
    assert network.types[-1] is torch.Tensor
