"""A frozen network through OpenVINO, against the same network in torch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from monai.networks.nets import BasicUNet, SegResNet
from torch import nn

from kd_monai.networks import MeanNetwork, RegionsHead, lay_out, openvino_is_installed
from kd_monai.networks.openvino_forward import TOLERANCE, OpenVINOForward, hold_against, openvino_model_of

pytestmark = pytest.mark.skipif(not openvino_is_installed(), reason="the extra [fast] is not installed")


def unet(channels: int = 2) -> nn.Module:
    torch.manual_seed(0)
    network = BasicUNet(
        3, channels, 3, features=[4, 4, 8, 8, 16, 4], norm=("instance", {"affine": True}), upsample="nontrainable"
    )
    return network.eval().requires_grad_(False)


@pytest.mark.parametrize("batch", [1, 2])
def test_logits_and_layers_are_those_of_torch(batch: int) -> None:
    network, image = unet(), torch.randn(batch, 2, 32, 48, 32)
    layers: dict[str, torch.Tensor] = {}
    for name in ("down_4", "down_1"):
        network.get_submodule(name).register_forward_hook(lambda m, i, o, name=name: layers.update({name: o}))
    with torch.no_grad():
        expected = network(image)
    logits, features = OpenVINOForward(unet(), ["down_4", "down_1"])(image)
    torch.testing.assert_close(logits, expected, rtol=1e-3, atol=1e-4)
    assert list(features) == ["down_4", "down_1"]
    for name, value in features.items():
        torch.testing.assert_close(value, layers[name], rtol=1e-3, atol=1e-4)


def test_bf16_is_as_far_from_float32_as_autocast() -> None:
    network, image = unet(), torch.randn(1, 2, 32, 32, 32)
    with torch.no_grad():
        exact = network(image)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = network(image).float()
    error = (OpenVINOForward(network, precision="bf16")(image)[0] - exact).abs().mean()
    assert error <= 1.5 * (rounded - exact).abs().mean()


@pytest.mark.parametrize(("precision", "off"), [("fp32", 0.002), ("bf16", 0.07)])
@pytest.mark.parametrize("output", ["logits", "down_4"])
def test_outputs_that_are_off_by_more_than_rounding_are_refused_by_name(
    precision: str, off: float, output: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward, image = OpenVINOForward(unet(), ["down_4"], precision), torch.randn(1, 2, 32, 32, 32)
    forward.check(image)
    logits, features = forward(image)
    true = {"logits": logits, **features}
    for factor, refused in ((1 + off / 4, False), (1 + off, True), (float("nan"), True)):
        outputs = {name: value * factor if name == output else value for name, value in true.items()}
        outcome = outputs.pop("logits"), outputs
        monkeypatch.setattr(OpenVINOForward, "__call__", lambda self, image, outcome=outcome: outcome)
        if refused:
            with pytest.raises(
                RuntimeError, match=rf"OpenVINO's {output} must be torch's within {TOLERANCE[precision]:g} of"
            ):
                forward.check(image)
        else:
            forward.check(image)


def test_what_a_network_took_from_the_traced_image_for_good_is_refused() -> None:
    class Scaled(nn.Conv3d):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return super().forward(image / (1 + image.abs().max().item()))

    with pytest.raises(RuntimeError, match="OpenVINO's logits must be torch's"):
        OpenVINOForward(Scaled(1, 3, 1).requires_grad_(False)).check(torch.randn(1, 1, 4, 4, 4))


def test_outputs_of_another_shape_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that broadcasts would be compared without a word."""
    forward, image = OpenVINOForward(nn.Conv3d(1, 3, 1)), torch.zeros(1, 1, 4, 4, 4)
    monkeypatch.setattr(OpenVINOForward, "__call__", lambda self, image: (forward._module(image)[0][:, :1], {}))
    with pytest.raises(RuntimeError, match=r"torch's shape, \(1, 3, 4, 4, 4\); got \(1, 1, 4, 4, 4\)"):
        forward.check(image)


def test_another_shape_is_compiled_and_results_outlive_the_next_call() -> None:
    forward, images = OpenVINOForward(unet()), [torch.randn(1, 2, 32, 32, side) for side in (32, 48)]
    first = forward(images[0])[0]
    kept = first.clone()
    assert forward(images[1])[0].shape == (1, 3, 32, 32, 48)
    assert not torch.equal(forward(images[0] + 1)[0], kept)
    assert torch.equal(first, kept)
    assert torch.equal(forward(images[0])[0], kept)  # the same patch gives the same bits


def test_a_network_that_is_laid_out_comes_through_as_it_was() -> None:
    """Hooks that help torch's convolutions would double the overlaps in another runtime's graph."""
    image = torch.zeros(1, 2, 32, 32, 32)
    graphs = [openvino_model_of(network, image) for network in (unet(), lay_out(unet(), "cpu"))]
    plain, laid_out = (sorted(op.get_type_name() for op in graph.get_ops()) for graph in graphs)
    assert plain.count("Convolution") == laid_out.count("Convolution") > 10
    assert laid_out.count("Slice") <= plain.count("Slice")
    assert laid_out.count("Concat") <= plain.count("Concat")
    OpenVINOForward(lay_out(unet(), "cpu"), ["down_4"]).check(torch.randn(1, 2, 32, 32, 32))


@pytest.mark.parametrize("network", [SegResNet(init_filters=8, in_channels=2, out_channels=3)])
def test_other_networks_and_the_mean_of_several_are_taken(network: nn.Module) -> None:
    network, image = network.eval().requires_grad_(False), torch.randn(1, 2, 32, 32, 32)
    mean = MeanNetwork([network, unet(1)], [[0, 1], [1]], RegionsHead()).eval()
    for module in (network, mean):
        with torch.no_grad():
            expected = module(image)
        torch.testing.assert_close(OpenVINOForward(module)(image)[0], expected, rtol=1e-2, atol=1e-3)


def test_a_network_that_openvino_cannot_read_is_refused_with_the_operation() -> None:
    """OpenVINO's own error is no RuntimeError, which an export waits for."""

    class Unreadable(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return torch.special.i1(image)

    with pytest.raises(RuntimeError, match=r"OpenVINO cannot read the network(?s:.*)special_i1"):
        openvino_model_of(Unreadable(), torch.zeros(1, 1, 4, 4, 4))


def test_importing_it_leaves_no_identifier_in_the_home_folder(tmp_path: Path) -> None:
    code = "from kd_monai.networks.openvino_forward import import_openvino; import_openvino()"
    environment = {**os.environ, "HOME": str(tmp_path)}
    environment.pop("CI", None)  # OpenVINO's telemetry is quiet there by itself
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=120)
    assert not (tmp_path / "intel").exists()


def test_signals_are_handled_after_networks_have_come_and_gone() -> None:
    code = """
import faulthandler, gc, os, signal, torch
from kd_monai.networks.openvino_forward import OpenVINOForward
faulthandler.enable()  # a stack for signal handlers, as pytest has it
signal.signal(signal.SIGUSR1, lambda *_: print("handled"))
for _ in range(3):
    forwards = [OpenVINOForward(torch.nn.Conv3d(1, 1, 3)) for _ in range(3)]
    for forward in forwards:
        forward(torch.zeros(1, 1, 8, 8, 8))
    del forwards[0]
    gc.collect()
    os.kill(os.getpid(), signal.SIGUSR1)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.split()) == (0, ["handled"] * 3), done.stderr


B = torch.tensor([3.0, 4.0])  # of norm 5


@pytest.mark.parametrize(("error", "passes"), [(0.0, True), (0.04, True), (0.06, False), (float("nan"), False)])
def test_the_error_is_relative_to_the_norm_of_all_values(error: float, passes: bool) -> None:
    outputs = {"logits": B, "down_4": B + torch.tensor([error, 0.0])}
    if passes:
        hold_against(outputs, [B, B], 0.01)
        return
    with pytest.raises(RuntimeError, match=r"down_4 must be torch's within 0\.01 of their norm; got .* norm of 5"):
        hold_against(outputs, [B, B], 0.01)


def test_a_shape_that_would_broadcast_is_refused() -> None:
    with pytest.raises(RuntimeError, match=r"OpenVINO's logits must have torch's shape, \(2,\); got \(1, 2\)"):
        hold_against({"logits": B[None]}, [B], 0.01)


def test_bf16_is_compared_in_float32() -> None:
    hold_against({"logits": B.bfloat16()}, [B], 1e-6)


def test_an_output_that_is_missing_is_no_agreement() -> None:
    with pytest.raises(ValueError, match="longer"):
        hold_against({"logits": B}, [B, B], 0.01)
