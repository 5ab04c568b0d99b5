"""A frozen network stays as it is, and who runs it follows from the wish, the device and the number of steps."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from monai.inferers import SimpleInferer
from torch import nn

from kd_monai.networks import inferers
from kd_monai.networks.inferers import PAYS_AFTER_STEPS, FrozenNetwork, TorchForward, wished_runtime


def test_it_is_in_eval_mode_whatever_train_says_and_without_gradients() -> None:
    network = FrozenNetwork(nn.Sequential(nn.Dropout(0.5), nn.BatchNorm3d(1)))
    network.train()
    assert not any(module.training for module in network.modules())
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_torch_gives_logits_and_layers_and_taps_nothing_afterwards() -> None:
    network = nn.Sequential(nn.Conv3d(1, 2, 1), nn.ReLU())
    image = torch.randn(1, 1, 2, 3, 4)
    logits, features = TorchForward(FrozenNetwork(network), ["0"], SimpleInferer())(image)
    assert torch.equal(features["0"], network[0](image))
    assert torch.equal(logits, network(image))
    assert not network[0]._forward_hooks


def test_a_pass_that_fails_leaves_no_taps() -> None:
    network = nn.Sequential(nn.Conv3d(1, 2, 1))
    with pytest.raises(RuntimeError):
        TorchForward(FrozenNetwork(network), ["0"], SimpleInferer())(torch.zeros(1, 2, 2, 2, 2))
    assert not network[0]._forward_hooks


@pytest.mark.parametrize(
    ("wish", "device", "steps", "installed", "runtime"),
    [
        ("auto", "cpu", PAYS_AFTER_STEPS, True, "openvino"),
        ("auto", "cpu", PAYS_AFTER_STEPS - 1, True, "torch"),
        ("auto", "cpu", PAYS_AFTER_STEPS, False, "torch"),
        ("auto", "cuda:1", PAYS_AFTER_STEPS, True, "torch"),
        ("auto", "mps", PAYS_AFTER_STEPS, True, "torch"),
        ("openvino", "cpu", 1, True, "openvino"),
        ("torch", "cpu", PAYS_AFTER_STEPS, True, "torch"),
    ],
)
def test_auto_takes_openvino_where_it_pays(
    wish: Any, device: str, steps: int, installed: bool, runtime: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inferers, "openvino_is_installed", lambda: installed)
    assert wished_runtime(wish, device, steps) == runtime


def test_openvino_on_a_gpu_is_refused_with_the_remedy() -> None:
    with pytest.raises(ValueError, match=r"on a CPU; this training is on cuda.*`auto`"):
        wished_runtime("openvino", "cuda", 1)
