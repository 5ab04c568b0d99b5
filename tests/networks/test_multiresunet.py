"""MultiResUNet 3D: its size is the authors', its sides are free, and what it gives are logits."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kd_monai.export.openvino import TOLERANCE
from kd_monai.networks import MultiResUNet
from kd_monai.networks.inferers import openvino_is_installed
from kd_monai.networks.multiresunet import multires_widths
from kd_monai.networks.openvino_forward import openvino_model_of, shared_core
from kd_monai.outputs import FeatureTaps


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_authors_width_has_18639817_parameters() -> None:
    with torch.device("meta"):
        assert parameters(MultiResUNet(4, 3)) == 18_639_817


def test_the_difference_to_the_authors_file_is_biases_and_the_last_normalisation() -> None:
    """18,646,369: a bias in each of their convolutions, and scale and shift of three logits."""
    with torch.device("meta"):
        network = MultiResUNet(4, 3)
        biases = sum(m.out_channels for m in network.modules() if isinstance(m, nn.Conv3d) and m.bias is None)
    assert parameters(network) + biases + 2 * 3 == 18_646_369


def test_blocks_have_the_papers_widths() -> None:
    assert [multires_widths(32 * 2**level) for level in range(5)] == [
        (8, 17, 26), (17, 35, 53), (35, 71, 106), (71, 142, 213), (142, 284, 427),
    ]  # fmt: skip


def test_filters_scale_every_level() -> None:
    network = MultiResUNet(1, 3, filters=4)
    assert [path.norms[0].num_features for path in network.paths] == [4, 8, 16, 32]
    assert [len(path.convs) for path in network.paths] == [4, 3, 2, 1]
    assert parameters(network) < 18_639_817 / 50


@pytest.mark.parametrize("shape", [(2, 2, 32, 48, 16), (1, 2, 32, 16, 16)])
def test_logits_have_the_images_unequal_sides(shape: tuple[int, ...]) -> None:
    with torch.no_grad():
        assert MultiResUNet(2, 4, filters=4)(torch.zeros(shape)).shape == (shape[0], 4, *shape[2:])


def test_levels_can_be_tapped() -> None:
    network = MultiResUNet(1, 3, filters=4)
    taps = FeatureTaps(network, ["encoder.1", "bottleneck", "decoder.3"])
    taps.open()
    with torch.no_grad():
        network(torch.zeros(1, 1, 32, 32, 32))
    assert {name: tuple(value.shape[1:]) for name, value in taps.close().items()} == {
        "encoder.1": (sum(multires_widths(8)), 16, 16, 16), "bottleneck": (sum(multires_widths(64)), 2, 2, 2),
        "decoder.3": (6, 32, 32, 32),
    }  # fmt: skip


def test_logits_are_free_of_any_scale() -> None:
    """A normalisation behind them would undo what scales them, a temperature included."""
    torch.manual_seed(0)
    network, image = MultiResUNet(1, 3, filters=4), torch.rand(1, 1, 32, 32, 32)
    with torch.no_grad():
        before = network(image)
        network.logits.weight *= 5
        network.logits.bias *= 5
        torch.testing.assert_close(network(image), 5 * before)


def test_every_parameter_learns() -> None:
    torch.manual_seed(0)
    network = MultiResUNet(1, 3, filters=4)
    network(torch.rand(1, 1, 32, 32, 32)).square().sum().backward()
    gradients = {name: p.grad for name, p in network.named_parameters()}
    assert [name for name, gradient in gradients.items() if gradient is None or not gradient.isfinite().all()] == []
    # a norm's scale and shift vanish in the norm behind it: rounding decides whether their gradient is exactly 0
    kernels = [name for name, p in network.named_parameters() if p.ndim == 5]
    assert [name for name in kernels if not gradients[name].abs().sum() > 0] == []


def test_training_and_prediction_are_one_function() -> None:
    """Instance normalisation has no running statistics."""
    torch.manual_seed(0)
    network, image = MultiResUNet(1, 3, filters=4), torch.rand(1, 1, 32, 32, 32)
    with torch.no_grad():
        assert torch.equal(network(image), network.eval()(image))


@pytest.mark.parametrize("sides", [(40, 32, 32), (16, 16, 16), (32, 32, 24)])
def test_sides_that_do_not_halve_four_times_are_refused(sides: tuple[int, ...]) -> None:
    with pytest.raises(
        ValueError, match=r"multiples of 16, one of them at least 32; got \(\d+, \d+, \d+\).*`roi_size`"
    ):
        MultiResUNet(1, 3, filters=4)(torch.zeros(1, 1, *sides))


def test_too_few_filters_are_refused() -> None:
    with pytest.raises(ValueError, match=r"0 of 3 filters.*4 filters \(width\) or more"):
        MultiResUNet(1, 3, filters=3)


@pytest.mark.slow
@pytest.mark.skipif(not openvino_is_installed(), reason="the extra [fast] is not installed")
def test_openvino_says_the_same_for_every_size() -> None:
    torch.manual_seed(0)
    network = MultiResUNet(1, 3, filters=4).eval()
    run = shared_core().compile_model(
        openvino_model_of(network, torch.rand(1, 1, 32, 32, 32)), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    for shape in ((1, 1, 32, 32, 32), (2, 1, 48, 32, 64)):
        image = torch.rand(shape)
        with torch.no_grad():
            expected = network(image)
        error = (torch.from_numpy(run(image.numpy())[0]) - expected).abs().max()
        assert error < TOLERANCE * expected.abs().max()
