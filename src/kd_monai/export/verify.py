"""MONAI's own checks of a bundle, offline."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser, ConfigWorkflow, ckpt_export, verify_metadata, verify_net_in_out

from kd_monai.config.overlays import BUNDLES, SHARED, STUDENT, TEACHER, bundle_scripts, inference_files, train_files
from kd_monai.config.plan import Plan
from kd_monai.errors import UserError
from kd_monai.phantom import write_phantom
from kd_monai.runs import RunFolder

logger = logging.getLogger(__name__)

SCHEMA = "meta_schema_20240725.json"


def verify_bundles(data: Path | None = None) -> None:
    """MONAI's own checks of both bundles: files first, then workflows on a few subjects. Nothing is downloaded.

    Args:
        data: a BraTS-like folder for training and evaluation; a new phantom unless named.

    Raises:
        UserError: a bundle does not pass.
    """
    with tempfile.TemporaryDirectory() as folder:
        if data is None:
            data = write_phantom(Path(folder) / "phantom", 6, spacing_mm=2, seed=0, progress=False)
        runs = str(Path(folder) / "runs")
        settings: dict[str, Any] = {"dataset_dir": str(data), "output_dir": runs, "device": "cpu", "n_subjects": 1}
        for bundle in (TEACHER, STUDENT):
            verify_static(bundle, BUNDLES / "schema")
            verify_properties(bundle, "infer", inference_files(bundle), device="cpu")
            verify_properties(bundle, "train", train_files(bundle), **settings)
            run = untrained_run(bundle, train_files(bundle), **settings)
            files = [*train_files(bundle), run / "config.yaml", SHARED / "evaluate.yaml"]
            verify_properties(bundle, "infer", files, **settings, run_dir=str(run))
            settings["teacher"] = str(run)


def verify_static(bundle: Path, schemas: Path) -> None:
    """Metadata against its schema, network against its metadata, TorchScript export; nothing is downloaded.

    A network that cannot be scripted is traced; one that is an exported program has nothing to export.

    Args:
        bundle: a template, or an exported bundle whose own weights are then used.
        schemas: folder of the metadata schema.

    Raises:
        ValueError: metadata or network do not pass.
    """
    metadata, inference = str(bundle / "configs" / "metadata.json"), [str(file) for file in inference_files(bundle)]
    if not (schemas / SCHEMA).is_file():
        raise UserError(
            f"MONAI would download the metadata schema where {schemas / SCHEMA} is missing. Restore the file."
        )
    verify_metadata(meta_file=metadata, filepath=str(schemas / SCHEMA))
    root = {"bundle_root": str(bundle)}  # an exported program lies there
    verify_net_in_out("network_def", meta_file=metadata, config_file=inference, device="cpu", **root)
    if (bundle / "models" / "model.pt2").is_file():
        logger.info("%s: metadata and network pass; the network is an exported program", bundle.name)
        return
    with tempfile.TemporaryDirectory() as folder:
        weights, program = bundle / "models" / "model.pt", Path(folder) / "model.ts"
        if not weights.is_file():
            weights = Path(folder) / "model.pt"
            parser = ConfigParser()
            parser.read_config(inference)
            torch.save(parser.get_parsed_content("network_def").state_dict(), weights)
        files = {"meta_file": metadata, "config_file": inference}
        try:
            ckpt_export("network_def", str(program), str(weights), **files)
        # SwinUNETR cannot be scripted; a second time says so otherwise
        except (torch.jit.frontend.FrontendError, RuntimeError):
            ckpt_export("network_def", str(program), str(weights), use_trace=True, **files)
        torch.jit.load(program)
    logger.info("%s: metadata, network and TorchScript export pass", bundle.name)


def verify_properties(bundle: Path, workflow_type: str, files: Sequence[Path], **overrides: Any) -> None:
    """Whether a workflow has the ids that MONAI's bundle tools rely on.

    Args:
        bundle: the bundle's folder.
        workflow_type: ``train`` or ``infer``.
        files: configuration files.
        overrides: configuration id -> value.

    Raises:
        ValueError: required ids are missing, or optional ones have other names.
    """
    with bundle_scripts(SHARED), warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="monai")
        workflow = _parsed(bundle, workflow_type, files, overrides)
        try:
            wrong = workflow.check_properties() or []
        except KeyError as error:  # what MONAI does when a required id is missing
            wrong = [str(error)]
    if wrong:
        raise UserError(
            f"A {workflow_type} workflow needs MONAI's ids; {bundle.name} ({', '.join(map(str, files))}) lacks or "
            f"renames {'; '.join(wrong)} (see monai/bundle/properties.py). Define them."
        )
    logger.info("%s: %s passes check_properties", bundle.name, " + ".join(Path(name).name for name in files))


def untrained_run(bundle: Path, config_files: list[Path], **overrides: Any) -> Path:
    """The folder of a run with the weights it would have started from: enough to check configurations with.

    Args:
        bundle: the bundle's folder.
        config_files: ``train.yaml`` and the overlays behind it.
        overrides: configuration id -> value.

    Returns:
        The run's folder, marked FINISHED.
    """
    workflow = _parsed(bundle, "train", config_files, overrides)
    record: RunFolder = workflow.parser.get_parsed_content("record")
    record.open()
    torch.save(workflow.network_def.state_dict(), record.model)
    record.finish()
    return record.path


def _parsed(bundle: Path, workflow_type: str, files: Sequence[Path], overrides: Mapping[str, Any]) -> ConfigWorkflow:
    """A workflow that runs nothing; a training is handed its plan, as make hands it in."""
    plan = Plan.read("", bundle, files, {"bundle_root": str(bundle), **overrides})
    config: dict[str, Any] = dict(plan.parser().get())
    workflow = ConfigWorkflow(
        config_file=None,
        meta_file=str(bundle / "configs" / "metadata.json"),
        workflow_type=workflow_type,
        logging_file=False,
        init_id="parse only",
        **config | ({"plan": plan} if "plan" in config else {}),
    )
    workflow.initialize()
    return workflow
