"""A bundle's network as OpenVINO reads it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import torch
from monai.bundle import ConfigParser

from kd_monai.networks.openvino_forward import import_openvino, openvino_model_of, shared_core

TOLERANCE = 1e-3
"""Of logits in float32, against torch: the order of sums differs, nothing else."""


def openvino_model(bundle: str | Path) -> Path:
    """``models/model.xml`` (and ``model.bin``) of a bundle, written where it is missing, in about three seconds.

    Batch and sides are free. The conversion is checked on one random window.

    Args:
        bundle: folder of an exported bundle.

    Returns:
        The path of ``model.xml``; ``inference.yaml`` reads it where ``runtime`` is openvino.

    Raises:
        ImportError: OpenVINO is not installed.
        ValueError: its logits are not torch's within `TOLERANCE`.
    """
    bundle = Path(bundle)
    path = bundle / "models" / "model.xml"
    openvino = import_openvino()
    if path.is_file():
        return path
    parser = ConfigParser()
    parser.read_config(bundle / "configs" / "inference.yaml")
    parser["bundle_root"], parser["device"] = str(bundle), "cpu"
    network = parser.get_parsed_content("network_def")
    network.load_state_dict(torch.load(bundle / "models" / "model.pt", map_location="cpu", weights_only=True))
    network.eval()
    channels = len(parser.get_parsed_content("modalities"))
    window = torch.rand(1, channels, *parser["roi_size"], generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = network(window)
    model = openvino_model_of(network, window)
    run = shared_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    error = float((torch.from_numpy(run(window.numpy())[0]) - expected).abs().max())
    if error > TOLERANCE * max(1.0, float(expected.abs().max())):
        raise ValueError(
            f"OpenVINO's logits must be torch's within {TOLERANCE}; those of {bundle} differ by {error:.2g}. "
            "Predict without it."
        )
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        openvino.save_model(model, Path(folder, "model.xml"), compress_to_fp16=False)
        for name in ("model.bin", "model.xml"):  # the one that is looked for comes last
            os.replace(Path(folder, name), path.with_name(name))
    return path
