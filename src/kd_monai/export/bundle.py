"""A finished run as a bundle that runs in stock MONAI."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from monai.bundle import ConfigParser
from torch import nn

from kd_monai.config.overlays import SHARED, STUDENT, TEACHER
from kd_monai.errors import UserError
from kd_monai.export.metadata import metadata_of
from kd_monai.export.openvino import openvino_model
from kd_monai.networks.inferers import openvino_is_installed
from kd_monai.runs.scored_run import trained_weights

logger = logging.getLogger(__name__)

SETTINGS = ("modalities", "head", "spacing_mm", "roi_size", "overlap", "network_def")
"""Ids of the bundle's own ``inference.yaml``: how the network was trained."""
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
    network = _trained(parser, run_folder)
    settings = inference_settings(parser)
    if parser.get("n4"):
        logger.warning(
            "%s was trained after N4 bias field correction: give its bundle N4-corrected images.", run_folder
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    older = draft.with_name(f"{draft.name}.older")
    try:
        draft.chmod(0o755)
        for name in ("docs", "configs", "models"):
            (draft / name).mkdir()
        shutil.copyfile(bundle_template / "docs" / "README.md", draft / "docs" / "README.md")
        for name, target in (("LICENSE", ""), ("data_license.txt", "docs"), ("logging.conf", "configs")):
            shutil.copyfile(SHARED / name, draft / target / name)
        shutil.copytree(SHARED / "scripts", draft / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
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
            out.replace(older)
        draft.replace(out)
    finally:
        if older.exists() and not out.exists():
            older.replace(out)
        for folder in (draft, older):
            shutil.rmtree(folder, ignore_errors=True)
    logger.info("Exported the bundle %s", out)
    return out


def _trained(parser: ConfigParser, run_folder: Path) -> nn.Module:
    network: nn.Module = parser.get_parsed_content("network_def")
    weights = trained_weights(run_folder)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError(
            f"{run_folder} must hold the weights of its own network_def, {type(network).__name__}: {error}. "
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
    """One file of the template's head, the run's settings and what all bundles share."""
    head = [line for line in template.read_text().splitlines() if line.startswith("#")]
    section = yaml.safe_dump(settings, sort_keys=False, default_flow_style=None, width=120)
    shared = [(SHARED / name).read_text() for name in ("preprocessing.yaml", "prediction.yaml")]
    text = "\n".join(["\n".join(head[:2]), "", "# --- how the network was trained ---", section, *shared])
    (configs / "inference.yaml").write_text(text)
    config = ConfigParser.load_config_file(configs / "inference.yaml")
    ConfigParser.export_config_file(config, configs / "inference.json", fmt="json", indent=2)


def inference_settings(parser: ConfigParser) -> dict[str, Any]:
    """The run's `SETTINGS` as plain values: expressions and references are evaluated, ``_target_`` names are kept.

    Raises:
        KeyError: the configuration lacks one of them.
        TypeError: a value is neither text, number, list nor mapping.
    """
    absent = [name for name in SETTINGS if name not in parser]
    if absent:
        raise KeyError(
            f"An export needs the ids {', '.join(SETTINGS)}; the run's configuration lacks {', '.join(absent)}."
        )
    settings = {name: _plain(parser, name) for name in SETTINGS}
    if isinstance(settings["spacing_mm"], int | float):
        settings["spacing_mm"] = [float(settings["spacing_mm"])] * 3
    return settings


def is_stock(definition: Any) -> bool:
    """Whether every ``_target_`` of a definition is a class of MONAI or torch; a name without dots is MONAI's.

    Example:
        >>> is_stock({"_target_": "BasicUNet"}), is_stock({"_target_": "mine.Net", "features": [8, 16]})
        (True, False)
    """
    if isinstance(definition, list):
        return all(map(is_stock, definition))
    if isinstance(definition, dict):
        package, dot, _ = str(definition.get("_target_", "")).partition(".")
        return (not dot or package in {"monai", "torch"}) and all(map(is_stock, definition.values()))
    return True


def _plain(parser: ConfigParser, item: str) -> Any:
    value = parser[item]
    if isinstance(value, dict):
        return {key: _plain(parser, f"{item}::{key}") for key in value}
    if isinstance(value, list):
        return [_plain(parser, f"{item}::{index}") for index in range(len(value))]
    if isinstance(value, str) and value.startswith(("$", "@")):
        value = parser.get_parsed_content(item)
    return json.loads(json.dumps(value))  # tuples become lists; an object is refused here


def finished_record(run_folder: Path) -> dict[str, Any]:
    """The ``run.json`` of a finished training.

    Raises:
        ValueError: the folder is no run folder, or the training is not finished.
    """
    file = run_folder / "run.json"
    if not file.is_file():
        raise UserError(f"A run folder has a run.json; {run_folder} has none. Name a folder that a training wrote.")
    record: dict[str, Any] = json.loads(file.read_text())
    if record.get("status") != "FINISHED":
        raise UserError(
            f"A finished training is asked for; {run_folder} is {record.get('status', 'no training')}. "
            "Launch its training again, or name another run."
        )
    return record


def finished_runs(out: Path) -> list[Path]:
    """Folders of the finished trainings in an output folder, without those that have nothing to score.

    Those are teachers of inner folds, which only teach, and runs without weights (`unpack`).
    """
    records = {file.parent: json.loads(file.read_text()) for file in sorted(out.glob("*/run.json"))}
    return [
        folder
        for folder, record in records.items()
        if record.get("status") == "FINISHED" and record.get("inner_fold") is None and (folder / "model.pt").is_file()
    ]


def template_of(record: Mapping[str, Any]) -> Path:
    """The bundle that trained a run."""
    return TEACHER if record["role"] == "teacher" else STUDENT


def bundle_of(run_folder: str | Path) -> Path:
    """``<run folder>/bundle``, exported where it is missing, from the template that the run's role asks for.

    Raises:
        ValueError: the folder is no finished run's.
        FileNotFoundError: one of its files is missing.
    """
    run_folder = Path(run_folder)
    bundle = run_folder / "bundle"
    if bundle.is_dir():
        return bundle
    return export_bundle(run_folder, template_of(finished_record(run_folder)), bundle)
