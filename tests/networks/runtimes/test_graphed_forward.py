"""A frozen network as a CUDA graph; where there is no GPU a stand-in for the graph computes again what was recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kd_monai.networks import FeatureTaps, GraphedForward, MeanNetwork, RegionsHead
from kd_monai.networks.runtimes.graphed_forward import _Recorded


class Replayed:
    """Writes, into the memory of the recorded outputs, what the network gives for what stands in that of its input."""

    def __init__(self, compute: Callable[[Tensor], tuple[Tensor, ...]], read: Tensor) -> None:
        self.compute, self.read, self.written = compute, read, compute(read)

    def replay(self) -> None:
        for place, value in zip(self.written, self.compute(self.read), strict=True):
            place.copy_(value)


@pytest.fixture
def records(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Shapes that were recorded."""
    shapes: list[tuple[int, ...]] = []

    def record(self: GraphedForward, image: Tensor) -> _Recorded:
        shapes.append(tuple(image.shape))
        graph = Replayed(self._pass, image.clone())
        return _Recorded(graph, graph.read, graph.written)  # type: ignore[arg-type]

    monkeypatch.setattr(GraphedForward, "_record", record)
    return shapes


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv3d(2, 4, 3, padding=1), nn.ReLU(), nn.Conv3d(4, 3, 1)).eval().requires_grad_(False)


def patch(seed: int, batch: int = 1) -> Tensor:
    return torch.randn(batch, 2, 4, 5, 6, generator=torch.Generator().manual_seed(seed))


def test_logits_and_layers_are_those_of_the_network(records: list) -> None:
    forward, taps = GraphedForward(network(), ["0"]), FeatureTaps(plain := network(), ["0"])
    for seed in (1, 2):
        taps.open()
        expected = plain(patch(seed))
        logits, features = forward(patch(seed))
        assert torch.equal(logits, expected)
        assert torch.equal(features["0"], taps.close()["0"])
    assert records == [(1, 2, 4, 5, 6)]


def test_outputs_of_a_pass_outlive_the_next_one(records: list) -> None:
    forward = GraphedForward(network(), ["0"])
    logits, features = forward(patch(1))
    kept = logits.clone(), features["0"].clone()
    forward(patch(2))
    assert torch.equal(logits, kept[0])
    assert torch.equal(features["0"], kept[1])


def test_each_shape_is_recorded_once(records: list) -> None:
    forward = GraphedForward(network())
    for batch in (1, 3, 1, 3):
        assert torch.equal(forward(patch(batch, batch))[0], network()(patch(batch, batch)))
    assert [shape[0] for shape in records] == [1, 3]


def test_what_a_network_took_from_the_recorded_image_is_found(records: list, monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph that gives the recorded image's outputs for whatever it is given."""
    monkeypatch.setattr(Replayed, "replay", lambda self: None)
    with pytest.raises(RuntimeError, match=r"The CUDA graph's logits must be torch's within 0\.001"):
        GraphedForward(network()).check(patch(1))


@pytest.mark.parametrize("off", [1.01, float("nan")])
def test_a_graph_that_computes_something_else_is_refused(
    off: float, records: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = GraphedForward(network(), ["0"])
    forward.check(patch(1))
    replay = Replayed.replay
    monkeypatch.setattr(Replayed, "replay", lambda self: (replay(self), self.written[1].mul_(off)))
    with pytest.raises(RuntimeError, match=r"The CUDA graph's 0 must be torch's within 0\.001"):
        forward.check(patch(1))


def test_bf16_gives_float32_logits(records: list) -> None:
    forward = GraphedForward(network(), precision="bf16")
    assert forward(patch(1))[0].dtype == torch.float32
    assert not torch.equal(forward(patch(1))[0], network()(patch(1)))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_on_a_gpu_the_graph_gives_what_torch_does_and_sees_weights_that_change(precision: Any) -> None:
    plain = network().cuda()
    forward = GraphedForward(plain, ["0"], precision)
    forward.check(patch(1).cuda())
    before = forward(patch(2).cuda())[0]
    plain[2].bias.add_(1.0)
    torch.testing.assert_close(forward(patch(2).cuda())[0], before + 1.0, rtol=1e-2, atol=1e-2)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_on_a_gpu_a_mean_of_teachers_can_be_recorded() -> None:
    mean = MeanNetwork([network(), network()], [[0, 1], [1, 0]], RegionsHead()).cuda().eval()
    GraphedForward(mean).check(patch(1).cuda())


def test_an_unknown_layer_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="down_9"):
        GraphedForward(network(), ["down_9"])
