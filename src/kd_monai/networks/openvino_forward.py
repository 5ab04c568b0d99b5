"""A frozen network's forward pass through OpenVINO: what fuses convolution, normalisation and activation on a CPU."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kd_monai.outputs import FeatureTaps

TOLERANCE = {"fp32": 1e-3, "bf16": 2**-4}
"""Largest ``|a - b| / |b|`` of OpenVINO's numbers a and torch's float32 ones b, over all voxels (Euclidean norms).

In float32 the order of sums differs, nothing else: 3e-7 to 7e-6 of logits and layers (BasicUNet of 8 and 16 channels,
SegResNet and DynUNet of 8, random weights, 32^3, AVX2). The bound of bf16 is theory: rounding to 8 bits of mantissa
errs by at most 2^-8, independent errors add like their root, and those of 256 roundings come to 2^-4. Torch's autocast
was 4e-3 to 1.3e-2 from its own float32 there; OpenVINO's bf16 could not be measured on AVX2.
"""


def import_openvino() -> Any:
    """The module `openvino`, without its telemetry.

    Imported plainly, OpenVINO writes an identifier to the home folder and reports to its makers unless the user opted
    out; without the package `openvino_telemetry` it falls back on a stub that does nothing.

    Raises:
        ImportError: it is not installed.
    """
    if "openvino" not in sys.modules:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # an import of it now raises ImportError
    try:
        import openvino
    except ImportError as error:
        raise ImportError("OpenVINO is asked for and not installed: pip install 'kd_monai[fast]'.") from error
    return openvino


def shared_core() -> Any:
    """OpenVINO's `Core`, one in a process and never let go.

    Each core gives the thread a stack for signal handlers and on its end gives back the one it found. Cores that end in
    another order leave one that is unmapped: the next signal ends the process, or writes into whoever lies there now.
    The attribute is the one by which an exported bundle's ``scripts/prediction.py`` shares it.

    Raises:
        ImportError: OpenVINO is not installed.
    """
    openvino = import_openvino()
    if not hasattr(openvino, "shared_core"):
        openvino.shared_core = openvino.Core()
    return openvino.shared_core


def openvino_model_of(network: nn.Module, example: Tensor) -> Any:
    """The network as OpenVINO's model, of any batch size and sides, from one pass of an example ``B M H W D``.

    `openvino.convert_model` does the same and silences all of Python's logging up to errors on its way; torch.export's
    graph would come out decomposed and take twice as long to compute.

    Raises:
        ImportError: OpenVINO is not installed.
        RuntimeError: the network holds what OpenVINO cannot read.
    """
    import_openvino()
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    frontend = FrontEndManager().load_by_framework("pytorch")
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that tracing is deprecated, and that it takes shapes for constants
            # torch would run the network twice more to see whether its trace repeats: callers compare logits instead
            traced = TorchScriptPythonDecoder(network, example_input=example, trace_kwargs={"check_trace": False})
        model = frontend.convert(frontend.load(traced))
    except Exception as error:  # OpenVINO's own derive from it directly, and a tracer raises what the network raises
        raise RuntimeError(f"OpenVINO cannot read the network: {error}") from error
    model.reshape([-1, example.shape[1], -1, -1, -1])
    return model


def hold_against(outputs: Mapping[str, Tensor], expected: Sequence[Tensor], tolerance: float) -> None:
    """Refuse outputs of OpenVINO that are not torch's.

    Args:
        outputs: OpenVINO's, by name, of any shape.
        expected: torch's, in the same order.
        tolerance: largest ``|a - b| / |b|`` of an output a and torch's b, over all values (Euclidean norms).

    Raises:
        RuntimeError: they differ in shape or by more than that.
    """
    for (name, a), b in zip(outputs.items(), expected, strict=True):
        if a.shape != b.shape:
            raise RuntimeError(f"OpenVINO's {name} must have torch's shape, {tuple(b.shape)}; got {tuple(a.shape)}.")
        error, norm = float((a.float() - b.float()).norm()), float(b.float().norm())
        if not error <= tolerance * norm:  # which NaN is not either
            raise RuntimeError(
                f"OpenVINO's {name} must be torch's within {tolerance:g} of their norm; got a difference of "
                f"{error:.2g} and a norm of {norm:.2g}."
            )


class WithLayers(nn.Module):
    """A network that returns tapped layers behind its logits."""

    def __init__(self, network: nn.Module, layers: Sequence[str]) -> None:
        super().__init__()
        self.network, self.layers, self.taps = network, list(layers), FeatureTaps(network, layers)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        self.taps.open()
        try:
            logits = self.network(image)
        finally:
            features = self.taps.close()
        return (logits, *(features[name] for name in self.layers))


class OpenVINOForward:
    """Logits and layers of a frozen network, computed by OpenVINO; no gradients.

    On two cores with AVX512-BF16 a BasicUNet of 8 to 128 channels took 22 ms for four modalities of 64^3 in bf16 and
    38 ms in float32; torch took 104 ms under autocast, 60 ms in channels_last, 55 ms compiled. The first patch of a
    shape is traced and compiled, about 1.5 s. The library and what it keeps cost some 100 to 300 MiB.

    Args:
        network: on the CPU, in eval mode; its weights are taken as they are now.
        layers: names of layers to return.
        precision: `bf16` or `fp32`, resolved; OpenVINO computes in float32 on a CPU that has no bf16.

    Raises:
        ImportError: OpenVINO is not installed.
        ValueError: a name is no layer of the network.
    """

    def __init__(self, network: nn.Module, layers: Sequence[str] = (), precision: str = "fp32") -> None:
        self._core = shared_core()
        self.precision = precision
        self._module = WithLayers(network, layers)
        self._settings = {
            "INFERENCE_PRECISION_HINT": {"bf16": "bf16", "fp32": "f32"}[precision],
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",
        }
        self._compiled: dict[tuple[int, ...], Any] = {}

    def __call__(self, image: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Float32 logits ``B C H W D`` and layers by name of a float32 image ``B M H W D``."""
        shape = tuple(image.shape)
        if shape not in self._compiled:
            self._compiled[shape] = self._compile(shape)
        compiled = self._compiled[shape]
        results = compiled.create_infer_request().infer({0: image.contiguous().numpy()}, share_inputs=True)
        logits, *features = (torch.from_numpy(results[number]) for number in range(1 + len(self._module.layers)))
        compiled.release_memory()  # it would keep all its layers beside the student's graph
        return logits, dict(zip(self._module.layers, features, strict=True))

    def check(self, image: Tensor) -> None:
        """Hold logits and layers of a float32 image ``B M H W D`` against those that torch computes in float32.

        Raises:
            RuntimeError: they differ in shape or by more than `TOLERANCE`, or OpenVINO cannot run the network.
        """
        logits, features = self(image)
        with torch.no_grad():
            expected = self._module(image)
        hold_against({"logits": logits, **features}, expected, TOLERANCE[self.precision])

    def _compile(self, shape: tuple[int, ...]) -> Any:
        # of another image than `check` compares: what a network took from it for good would be seen
        model = openvino_model_of(self._module, torch.zeros(shape))
        model.reshape(list(shape))
        return self._core.compile_model(model, "CPU", self._settings)
