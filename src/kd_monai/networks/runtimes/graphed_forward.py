"""A frozen network's forward pass as one CUDA graph: started as a whole, not kernel by kernel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from kd_monai.networks.runtimes.hold_against import hold_against
from kd_monai.networks.taps import WithLayers

WARM_UP = 2
"""Passes in which libraries choose their algorithms and set up, which a graph must not hold."""
TOLERANCE = 1e-3
"""Of the same kernels in the same precision. On an H200 the six networks of ``configs/networks`` differed by 0."""


@dataclass(frozen=True)
class _Recorded:
    """The kernels of a pass, and the memory that they read and write, which is theirs for good."""

    graph: torch.cuda.CUDAGraph
    read: Tensor
    written: tuple[Tensor, ...]


class GraphedForward:
    """Logits and layers of a frozen network on a GPU, by the kernels that torch would start; no gradients.

    A small patch keeps a GPU busy for less time than the CPU takes to start its kernels, about a hundred. The first
    patch of a shape is recorded. What lies between input and output keeps its memory for as long as this object lives,
    which `torch.cuda.max_memory_allocated` does not count.

    Args:
        network: on the GPU, in eval mode; its weights may change in place.
        layers: names of layers to return.
        precision: `bf16` (autocast) or `fp32`, resolved.

    Raises:
        ValueError: a name is no layer of the network.
    """

    def __init__(
        self, network: nn.Module, layers: Sequence[str] = (), precision: Literal["bf16", "fp32"] = "fp32"
    ) -> None:
        self.precision = precision
        self._module = WithLayers(network, layers)
        self._recorded: dict[tuple[int, ...], _Recorded] = {}

    def __call__(self, image: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Float32 logits ``B C H W D`` and layers by name of a float32 image ``B M H W D``.

        Raises:
            RuntimeError: the network does what no graph can hold, such as asking for a number. Torch before 2.12 does
                not tidy up behind that: a training should end.
        """
        shape = tuple(image.shape)
        if shape not in self._recorded:
            self._recorded[shape] = self._record(image)
        recorded = self._recorded[shape]
        recorded.read.copy_(image)
        recorded.graph.replay()
        logits, *features = (tensor.clone() for tensor in recorded.written)  # the next pass writes there again
        return logits, dict(zip(self._module.layers, features, strict=True))

    def check(self, image: Tensor) -> None:
        """Hold logits and layers of a float32 image ``B M H W D`` against those that torch computes kernel by kernel.

        Recorded is another image of that shape: what a network took from it for good would be seen.

        Raises:
            RuntimeError: they differ by more than `TOLERANCE`, or there is no graph.
        """
        self(image.flip(-1))
        logits, features = self(image)
        hold_against("The CUDA graph", {"logits": logits, **features}, self._pass(image), TOLERANCE)

    def _pass(self, image: Tensor) -> tuple[Tensor, ...]:
        with torch.no_grad(), torch.autocast(image.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            logits, *features = self._module(image)
            return logits.float(), *features

    def _record(self, image: Tensor) -> _Recorded:
        with torch.cuda.device(image.device):
            now, aside = torch.cuda.current_stream(), torch.cuda.Stream()
            aside.wait_stream(now)
            read = image.clone()
            with torch.cuda.stream(aside):
                for _ in range(WARM_UP):
                    self._pass(read)
            now.wait_stream(aside)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # others may read ahead meanwhile
                written = self._pass(read)
        return _Recorded(graph, read, written)
