"""A bundle's network as OpenVINO reads it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from torch import Tensor, nn

from kd_monai.networks.openvino_forward import import_openvino, openvino_model_of, shared_core

TOLERANCE = 1e-3
"""Of logits in float32, against torch: the order of sums differs, nothing else."""


def openvino_model(bundle: str | Path, network: nn.Module | None = None) -> Path:
    """``models/model.xml`` (and ``model.bin``) of a bundle, written where it is missing, in about three seconds.

    Batch and sides are free, or those of one window where the network's graph depends on them, as SwinUNETR's does. The
    conversion is checked on one random window.

    Args:
        bundle: folder of an exported bundle.
        network: its trained network on the CPU, in eval mode; read from the bundle unless given.

    Returns:
        The path of ``model.xml``; ``inference.yaml`` reads it where ``runtime`` is openvino.

    Raises:
        ImportError: OpenVINO is not installed.
        ValueError: its logits are not torch's within `TOLERANCE`, or the bundle's network is an exported program.
    """
    bundle = Path(bundle)
    path = bundle / "models" / "model.xml"
    openvino = import_openvino()
    if path.is_file():
        return path
    parser = ConfigParser()
    parser.read_config(bundle / "configs" / "inference.yaml")
    parser["bundle_root"], parser["device"] = str(bundle), "cpu"
    if network is None:
        network = _read(bundle, parser)
    channels = len(parser.get_parsed_content("modalities"))
    window = torch.rand(1, channels, *parser["roi_size"], generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = network(window)
    model = openvino_model_of(network, window)
    try:
        logits = _logits(model, window)
    except RuntimeError:
        model.reshape(list(window.shape))
        logits = _logits(model, window)
    error = float((logits - expected).abs().max())
    if not error <= TOLERANCE * max(1.0, float(expected.abs().max())):  # nor NaN
        raise ValueError(
            f"OpenVINO's logits must be torch's within {TOLERANCE}; those of {bundle} differ by {error:.2g}. "
            "Predict without it."
        )
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        openvino.save_model(model, Path(folder, "model.xml"), compress_to_fp16=False)
        for name in ("model.bin", "model.xml"):  # the one that is looked for comes last
            os.replace(Path(folder, name), path.with_name(name))
    return path


def _read(bundle: Path, parser: ConfigParser) -> nn.Module:
    if (bundle / "models" / "model.pt2").is_file():
        raise ValueError(
            f"OpenVINO reads no exported program, which {bundle} has for a network; an export writes models/model.xml "
            "beside it where OpenVINO is installed. Export the run again, or predict with torch."
        )
    network: nn.Module = parser.get_parsed_content("network_def")
    network.load_state_dict(torch.load(bundle / "models" / "model.pt", map_location="cpu", weights_only=True))
    return network.eval()


def _logits(model: Any, window: Tensor) -> Tensor:
    run = shared_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return torch.from_numpy(run(window.numpy())[0])
