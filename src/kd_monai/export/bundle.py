"""A run folder's network as a bundle that runs in stock MONAI."""

from __future__ import annotations

import json
import logging
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
import yaml
from monai.bundle import ConfigParser
from torch import nn

from kd_monai.export.metadata import metadata_of
from kd_monai.export.openvino import openvino_model
from kd_monai.export.settings import inference_settings, is_stock
from kd_monai.networks.runtimes.openvino_forward import openvino_is_installed

logger = logging.getLogger(__name__)

_SECTION = re.compile(r"(# --- how the network was trained[^\n]*\n).*?(?=\n# ---)", re.DOTALL)
_PROGRAM = "$torch.export.unflatten(torch.export.load(@bundle_root + '/models/model.pt2'))"


def export_bundle(run_folder: str | Path, bundle_template: str | Path, out: str | Path) -> Path:
    """Write the bundle of a trained network: configs, docs, LICENSE and exactly one ``models/*.pt``.

    ``inference.yaml`` and ``metadata.json`` are the template's with the run's own settings; ``inference.json`` says the
    same to consumers that read no YAML. A network class that MONAI and torch lack travels as an exported program
    (``models/model.pt2``) beside its weights. Where OpenVINO is installed, ``models/model.xml`` and ``.bin`` are the
    network as it reads it. The bundle appears complete or not at all; an older export is replaced.

    Args:
        run_folder: holds ``config.yaml``, ``run.json`` and ``model.pt``; ``cases.csv`` too once the run was evaluated.
        bundle_template: folder of the bundle whose files are taken, ``bundles/brats_monomodal_student`` say.
        out: folder of the new bundle.

    Returns:
        ``out`` as a path.

    Raises:
        FileNotFoundError: a file is missing in the run folder.
        FileExistsError: ``out`` holds something other than a bundle.
        ValueError: the weights do not fit the configuration.
    """
    run_folder, bundle_template, out = Path(run_folder), Path(bundle_template), Path(out)
    missing = [name for name in ("config.yaml", "run.json", "model.pt") if not (run_folder / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"A bundle is exported from the folder of a finished run; {run_folder} has no {', '.join(missing)}. "
            "Finish the run, or name another folder."
        )
    if out.exists() and not (out / "configs" / "metadata.json").is_file():
        raise FileExistsError(f"An export replaces bundles only; {out} is none. Name a folder that does not exist yet.")
    parser = ConfigParser()
    parser.read_config(run_folder / "config.yaml")
    network = _trained(parser, run_folder / "model.pt")
    settings = inference_settings(parser)
    if parser.get("n4"):
        logger.warning(
            "%s was trained after N4 bias field correction: give its bundle N4-corrected images.", run_folder
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        draft.chmod(0o755)
        for name in ("docs", "configs", "models"):
            (draft / name).mkdir()
        for name in ("LICENSE", "docs/README.md", "docs/data_license.txt", "configs/logging.conf"):
            shutil.copyfile(bundle_template / name, draft / name)
        shutil.copyfile(run_folder / "model.pt", draft / "models" / "model.pt")
        metadata = metadata_of(
            run_folder, bundle_template / "configs" / "metadata.json", settings, bool(parser.get("n4"))
        )
        (draft / "configs" / "metadata.json").write_text(json.dumps(metadata, indent=2, ensure_ascii=False) + "\n")
        if not is_stock(settings["network_def"]):
            _save_program(network, settings, draft / "models" / "model.pt2")
            settings["network_def"] = _PROGRAM
        _write_inference(settings, bundle_template / "configs" / "inference.yaml", draft / "configs")
        if openvino_is_installed():
            _add_openvino_model(draft, network)
        if out.exists():
            shutil.rmtree(out)
        draft.replace(out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    logger.info("Exported the bundle %s", out)
    return out


def _trained(parser: ConfigParser, weights: Path) -> nn.Module:
    network: nn.Module = parser.get_parsed_content("network_def")
    try:
        network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    except RuntimeError as error:
        raise ValueError(
            f"{weights} must hold the weights of its run's network_def, {type(network).__name__}: {error}. "
            "Restore the run folder or train again."
        ) from error
    return network.eval()


def _add_openvino_model(bundle: Path, network: nn.Module) -> None:
    try:
        openvino_model(bundle, network)
    except (RuntimeError, ValueError) as error:  # a network of the user's own that OpenVINO cannot read
        logger.warning("Predictions will not run in OpenVINO: %s", error)


def _save_program(network: nn.Module, settings: dict[str, Any], path: Path) -> None:
    """Batch size is free, and so are the sides where the network allows it."""
    example = torch.rand(2, len(settings["modalities"]), *settings["roi_size"])  # a batch of 1 would become a constant
    program = torch.export.export(
        network, (example,), dynamic_shapes=(dict.fromkeys((0, 2, 3, 4), torch.export.Dim.AUTO),)
    )
    torch.export.save(program, path)


def _write_inference(settings: dict[str, Any], template: Path, configs: Path) -> None:
    section = yaml.safe_dump(settings, sort_keys=False, default_flow_style=None, width=120)
    text, count = _SECTION.subn(lambda match: match.group(1) + section, template.read_text())
    if count != 1:
        raise ValueError(
            f"{template} must have one section '# --- how the network was trained', with another '# ---' after it; "
            f"it has {count}. Restore the comment lines."
        )
    (configs / "inference.yaml").write_text(text)
    config = ConfigParser.load_config_file(configs / "inference.yaml")
    ConfigParser.export_config_file(config, configs / "inference.json", fmt="json", indent=2)
