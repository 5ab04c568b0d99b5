"""The metadata.json of an exported bundle."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

# what MONAI imports for a network beyond its own requirements
NEEDED_BY = {"SwinUNETR": ["einops"]}
# no subject names: a bundle is passed on
PROVENANCE = (
    "role",
    "method",
    "modality",
    "fold",
    "seed",
    "recipe",
    "run_key",
    "data_digest",
    "split_digest",
    "labels",
)


def metadata_of(run_folder: Path, template: Path, settings: dict[str, Any], n4: bool = False) -> dict[str, Any]:
    """A template's metadata with the run's modality, channels, window, versions, provenance and test scores.

    Args:
        run_folder: holds ``run.json``, and ``cases.csv`` once the run was evaluated.
        template: a bundle's ``metadata.json``.
        settings: see `kd_monai.export.bundle.inference_settings`.
        n4: whether the network saw N4-corrected images.

    Returns:
        What MONAI's metadata schema of 2024-07-25 asks for, and the key ``training``.
    """
    metadata: dict[str, Any] = json.loads(template.read_text())
    run = json.loads((run_folder / "run.json").read_text())
    modalities = settings["modalities"]
    metadata["name"] += f" ({'-'.join(modalities)})"
    metadata["image_classes"] = ", ".join(modalities) + "; skull-stripped, any orientation and spacing"
    metadata["monai_version"] = version("monai")
    metadata["pytorch_version"] = version("torch").split("+")[0]
    metadata["numpy_version"] = version("numpy")
    target = settings["network_def"].get("_target_", "").rpartition(".")[2]
    packages = [*metadata["required_packages_version"], *NEEDED_BY.get(target, [])]
    metadata["required_packages_version"] = {name: version(name) for name in packages}
    metadata["training"] = {key: run[key] for key in PROVENANCE if key in run}
    image = metadata["network_data_format"]["inputs"]["image"]
    pred = metadata["network_data_format"]["outputs"]["pred"]
    image["num_channels"] = len(modalities)
    image["channel_def"] = {str(channel): name for channel, name in enumerate(modalities)}
    image["spatial_shape"] = pred["spatial_shape"] = settings["roi_size"]
    if n4:
        metadata["image_classes"] += "; N4 bias field correction applied beforehand"
    if settings["head"] == "labels":
        pred["num_channels"] = 4
        metadata["pred_classes"] = "logits of background, core, oedema, enhancing; the saved label map holds 0, 1, 2, 3"
    if (run_folder / "cases.csv").is_file():
        scores = pd.read_csv(run_folder / "cases.csv").filter(regex="^(dice|hd95)_(TC|WT|ET)$").mean()
        metadata["eval_metrics"] = {f"test/{name}": round(float(score), 4) for name, score in scores.items()}
    return metadata
