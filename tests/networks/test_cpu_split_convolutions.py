"""Convolutions computed as two halves: the same sums, by oneDNN."""

from __future__ import annotations

import copy

import pytest
import torch
from monai.networks.nets import BasicUNet
from torch import nn
from torch.profiler import ProfilerActivity, profile

from kd_monai.networks.cpu import split_convolutions


def gradients(network: nn.Module, image: torch.Tensor) -> list[torch.Tensor]:
    """Output and the gradients of image and weights."""
    image = image.clone().requires_grad_()
    output = network(image)
    output.square().sum().backward()
    return [output.detach(), image.grad, *(p.grad for p in network.parameters())]  # type: ignore[list-item]


@pytest.mark.parametrize(
    "conv", [nn.Conv3d(3, 4, 3, padding=1), nn.Conv3d(3, 4, (3, 1, 3), padding=(1, 0, 1), stride=(1, 2, 1))]
)
@pytest.mark.parametrize("shape", [(1, 3, 8, 10, 12), (1, 3, 9, 8, 8), (1, 3, 2, 8, 8), (2, 3, 8, 8, 8)])
def test_values_and_gradients_are_those_of_the_whole(conv: nn.Module, shape: tuple[int, ...]) -> None:
    plain = nn.Sequential(copy.deepcopy(conv)).double()
    split = split_convolutions(copy.deepcopy(plain).float())
    image = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    for ours, exact in zip(gradients(split, image), gradients(plain, image.double()), strict=True):
        torch.testing.assert_close(ours.double(), exact, rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch was built without oneDNN")
def test_no_convolution_of_a_small_sample_is_left_to_torch() -> None:
    """A change of torch's rule shows here, whichever way."""
    names = {}
    image = torch.randn(1, 1, 32, 32, 32)
    network = BasicUNet(3, 1, 3, features=[8, 16, 32, 64, 128, 8], upsample="nontrainable")
    for name, own in (("plain", network), ("split", split_convolutions(copy.deepcopy(network)))):
        with profile(activities=[ProfilerActivity.CPU]) as record:
            own(image).sum().backward()
        calls = {event.key: event.count for event in record.key_averages()}
        names[name] = calls.get("aten::slow_conv3d_forward", 0), calls.get("aten::mkldnn_convolution", 0)
    assert names["plain"][0] >= 10
    assert names["split"][0] <= 10  # four of 1 x 1 x 1, and six of 2 or 4 slices
    assert names["split"][1] >= 12


def test_autocast_in_bf16_needs_no_halves() -> None:
    shapes = []
    network = split_convolutions(nn.Sequential(nn.Conv3d(2, 2, 3, padding=1)))
    network[0].register_forward_hook(lambda module, inputs, output: shapes.append(tuple(inputs[0].shape)))  # type: ignore[index]
    network(torch.randn(1, 2, 8, 8, 8))
    with torch.autocast("cpu", torch.bfloat16):
        network(torch.randn(1, 2, 8, 8, 8))
    assert shapes == [(2, 2, 5, 8, 8), (1, 2, 8, 8, 8)]


def test_a_network_can_be_copied_and_keeps_its_keys() -> None:
    network = nn.Sequential(nn.Conv3d(2, 2, 3, padding=1))
    keys = list(network.state_dict())
    twin = copy.deepcopy(split_convolutions(network))
    assert list(twin.state_dict()) == keys
    assert twin(torch.randn(1, 2, 8, 8, 8)).shape == (1, 2, 8, 8, 8)
