"""Memory formats: they change how long a step takes and nothing else."""

from __future__ import annotations

import copy

import pytest
import torch
from monai.networks.nets import BasicUNet, DynUNet, SegResNet
from torch import nn

from kd_monai.networks import lay_out, resolved_memory_format
from kd_monai.networks.cpu import split_convolutions


def unet(width: int) -> nn.Module:
    return BasicUNet(
        3, 1, 3, features=[width] * 4 + [2 * width, width], norm=("instance", {"affine": True}), upsample="nontrainable"
    )


@pytest.mark.parametrize(
    ("network", "device", "expected"),
    [
        (unet(8), "cpu", "channels_last"),
        (unet(12), "cpu", "channels_last"),
        (unet(16), "cpu", "contiguous"),  # wider: slower
        (unet(8), "cuda", "contiguous"),  # not measured
        (DynUNet(3, 1, 3, [3] * 3, [1, 2, 2], [2] * 2, filters=[8, 16, 32]), "cpu", "channels_last"),
        (SegResNet(init_filters=8), "cpu", "contiguous"),  # group normalisation: slower
        (nn.Conv3d(1, 1, 1), "cpu", "contiguous"),
    ],
)
def test_auto_follows_from_the_network_and_not_from_a_clock(network: nn.Module, device: str, expected: str) -> None:
    assert resolved_memory_format(network, device) == expected


def test_a_wish_is_granted_and_an_unknown_one_refused() -> None:
    assert resolved_memory_format(unet(16), "cpu", "channels_last") == "channels_last"
    assert resolved_memory_format(unet(8), "cpu", "contiguous") == "contiguous"
    with pytest.raises(ValueError, match=r"memory_format.*must be one of.*channels_first"):
        resolved_memory_format(unet(8), "cpu", "channels_first")  # type: ignore[arg-type]


def laid_out(memory_format: str) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    plain = split_convolutions(unet(4).eval())  # which has a test of its own
    return plain, lay_out(copy.deepcopy(plain), "cpu", memory_format)  # type: ignore[arg-type]


def test_values_and_gradients_are_those_of_the_plain_network_bit_for_bit() -> None:
    plain, ours = laid_out("contiguous")
    image = torch.randn(1, 1, 32, 48, 32)
    for network in (plain, ours):
        network(image).square().mean().backward()
    assert torch.equal(plain(image), ours(image))
    pairs = zip(plain.parameters(), ours.parameters(), strict=True)
    assert all(torch.equal(a.grad, b.grad) for a, b in pairs)


def test_channels_last_changes_rounding_alone_and_no_key() -> None:
    plain, ours = laid_out("channels_last")
    image = torch.randn(1, 1, 32, 32, 32)
    assert list(plain.state_dict()) == list(ours.state_dict())
    weight = next(p for p in ours.parameters() if p.ndim == 5 and p.shape[1] > 1)
    assert weight.is_contiguous(memory_format=torch.channels_last_3d)
    torch.testing.assert_close(ours(image), plain(image), rtol=1e-4, atol=1e-5)
