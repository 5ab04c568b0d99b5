"""Features are read by layer name, while somebody asks for them, and leave the network as it was."""

from __future__ import annotations

import pytest
import torch
from monai.networks.nets import BasicUNet
from torch import nn
from torch.utils.checkpoint import checkpoint

from kd_monai.outputs import FeatureTaps


def unet() -> nn.Module:
    torch.manual_seed(0)
    return BasicUNet(3, 1, 3, features=[2, 2, 2, 2, 4, 2], upsample="nontrainable")


IMAGE = torch.randn(2, 1, 32, 32, 32, generator=torch.Generator().manual_seed(0))


def test_the_bottleneck_is_the_deepest_layer_before_upsampling() -> None:
    network = unet()
    taps = FeatureTaps(network, ["down_4", "down_3"])
    taps.open()
    network(IMAGE)
    features = taps.close()
    assert {name: tuple(value.shape) for name, value in features.items()} == {
        "down_4": (2, 4, 2, 2, 2),
        "down_3": (2, 2, 4, 4, 4),
    }
    torch.testing.assert_close(features["down_4"], network.down_4(features["down_3"]))


def test_gradients_flow_through_a_tapped_feature() -> None:
    network = unet()
    taps = FeatureTaps(network, ["down_4"])
    taps.open()
    network(IMAGE)
    taps.close()["down_4"].sum().backward()
    assert network.conv_0.conv_0.conv.weight.grad.abs().sum() > 0
    assert network.final_conv.weight.grad is None


def test_closed_taps_keep_nothing_and_leave_no_hook() -> None:
    network = unet()
    taps = FeatureTaps(network, ["down_4"])
    network(IMAGE)
    assert taps.close() == {}
    taps.open()
    taps.open()  # a step that failed may have left them open
    assert len(network.down_4._forward_hooks) == 1
    network(IMAGE)
    assert list(taps.close()) == ["down_4"]
    assert not network.down_4._forward_hooks
    assert taps.features == {}


def test_logits_and_state_dict_keys_are_untouched() -> None:
    network, plain = unet(), unet()
    taps = FeatureTaps(network, ["down_4", "upcat_1"])
    taps.open()
    assert torch.equal(network(IMAGE), plain(IMAGE))
    assert list(network.state_dict()) == list(plain.state_dict())


def test_under_gradient_checkpointing_the_second_run_of_a_layer_is_not_kept() -> None:
    class Checkpointed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.deep = nn.Sequential(nn.Conv3d(1, 2, 1), nn.Tanh(), nn.Conv3d(2, 2, 1))
            self.calls = 0
            self.deep[0].register_forward_hook(lambda *_: setattr(self, "calls", self.calls + 1))

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return checkpoint(self.deep, image, use_reentrant=False)

    network = Checkpointed()
    taps = FeatureTaps(network, ["deep.0"])
    taps.open()
    logits = network(IMAGE[:, :, :2, :2, :2])
    features = taps.close()
    (logits.sum() + features["deep.0"].square().sum()).backward()
    assert network.calls == 2
    assert list(features) == ["deep.0"]
    assert taps.features == {}
    assert network.deep[0].weight.grad is not None


def test_an_unknown_layer_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"BasicUNet.*\['bottleneck'\].*'down_4'"):
        FeatureTaps(unet(), ["down_4", "bottleneck"])


def test_no_names_are_no_taps() -> None:
    network = unet()
    taps = FeatureTaps(network)
    taps.open()
    assert taps.close() == {}
