"""The weight gradients of convolutions that are deeper than their input."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from kd_monai.networks import lay_out
from kd_monai.networks.cpu import spare_shallow_convolutions


def gradients(conv: nn.Module, image: torch.Tensor, bf16: bool) -> torch.Tensor:
    conv.zero_grad()
    junk = [torch.full((count,), 1e30) for count in (1000, 20000, 100000)]
    del junk  # memory that nobody cleans is no longer zero
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        conv(image).float().square().mean().backward()
    return conv.weight.grad.clone()  # type: ignore[union-attr, operator]


@pytest.mark.parametrize("depth", [2, 3, 4])
@pytest.mark.parametrize("kernel", [3, 5])
def test_gradients_in_bf16_are_near_those_in_float32(kernel: int, depth: int) -> None:
    torch.manual_seed(0)
    conv = spare_shallow_convolutions(nn.Sequential(nn.Conv3d(64, 64, kernel, padding=kernel // 2)))[0]  # type: ignore[index]
    image = torch.randn(1, 64, depth, 4, 4)
    exact = gradients(conv, image, bf16=False)
    tolerance = 0.05 * float(exact.abs().max())
    for _ in range(10):
        torch.testing.assert_close(gradients(conv, image, bf16=True), exact, rtol=0.1, atol=tolerance)


def test_only_shallow_ones_leave_bf16_and_the_rest_of_the_network_does_not() -> None:
    dtypes: list[torch.dtype] = []
    network = spare_shallow_convolutions(nn.Sequential(nn.Conv3d(2, 2, 3, padding=1), nn.Conv3d(2, 2, 1)))
    for layer in network:  # type: ignore[attr-defined]
        layer.register_forward_hook(lambda module, inputs, output: dtypes.append(output.dtype))
    for depth in (2, 4):
        with torch.autocast("cpu", torch.bfloat16):
            network(torch.randn(1, 2, depth, 4, 4))
    assert dtypes == [torch.float32, torch.bfloat16, torch.bfloat16, torch.bfloat16]


def test_an_error_within_the_convolution_leaves_autocast_on() -> None:
    network = spare_shallow_convolutions(nn.Sequential(nn.Conv3d(2, 2, 3)))  # no padding: larger than the input
    with torch.autocast("cpu", torch.bfloat16):
        with pytest.raises(RuntimeError):
            network(torch.randn(1, 2, 2, 2, 2))
        assert torch.is_autocast_enabled("cpu")


def test_a_network_that_is_laid_out_can_be_copied_and_keeps_its_keys() -> None:
    network = nn.Sequential(nn.Conv3d(2, 2, 3, padding=1))
    keys = list(network.state_dict())
    twin = copy.deepcopy(lay_out(network, "cpu"))
    assert list(twin.state_dict()) == keys
    with torch.autocast("cpu", torch.bfloat16):
        assert twin(torch.randn(1, 2, 2, 4, 4)).dtype == torch.float32
