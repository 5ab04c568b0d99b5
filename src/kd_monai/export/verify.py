"""MONAI's own checks of a bundle, offline."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser, ConfigWorkflow, ckpt_export, verify_metadata, verify_net_in_out

logger = logging.getLogger(__name__)

SCHEMA = "meta_schema_20240725.json"


def verify_static(bundle: Path, schemas: Path) -> None:
    """Metadata against its schema, network against its metadata, TorchScript export; nothing is downloaded.

    A network that cannot be scripted is traced; one that is an exported program has nothing to export.

    Args:
        bundle: a template, or an exported bundle whose own weights are then used.
        schemas: folder of the metadata schema.

    Raises:
        ValueError: metadata or network do not pass.
    """
    metadata, inference = str(bundle / "configs" / "metadata.json"), str(bundle / "configs" / "inference.yaml")
    if not (schemas / SCHEMA).is_file():
        raise ValueError(
            f"MONAI would download the metadata schema where {schemas / SCHEMA} is missing. Restore the file."
        )
    verify_metadata(meta_file=metadata, filepath=str(schemas / SCHEMA))
    place = {"bundle_root": str(bundle)}  # an exported program lies there
    verify_net_in_out("network_def", meta_file=metadata, config_file=inference, device="cpu", **place)
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
        given = {"meta_file": metadata, "config_file": inference}
        try:
            ckpt_export("network_def", str(program), str(weights), **given)
        except (
            torch.jit.frontend.FrontendError,
            RuntimeError,
        ):  # SwinUNETR cannot be scripted; a second time says so otherwise
            ckpt_export("network_def", str(program), str(weights), use_trace=True, **given)
        torch.jit.load(program)
    logger.info("%s: metadata, network and TorchScript export pass", bundle.name)


def verify_properties(bundle: Path, workflow_type: str, names: Sequence[str | Path], **overrides: Any) -> None:
    """Whether a workflow has the ids that MONAI's bundle tools rely on.

    Args:
        bundle: the bundle's folder.
        workflow_type: ``train`` or ``infer``.
        names: configuration files, in ``configs/`` unless absolute.
        overrides: configuration id -> value.

    Raises:
        ValueError: required ids are missing, or optional ones have other names.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="monai")
        workflow = ConfigWorkflow(
            config_file=[str(bundle / "configs" / name) for name in names],
            meta_file=str(bundle / "configs" / "metadata.json"),
            workflow_type=workflow_type,
            logging_file=False,
            init_id="parse only",
            bundle_root=str(bundle),
            **overrides,
        )
        workflow.initialize()
        try:
            wrong = workflow.check_properties() or []
        except KeyError as error:  # what MONAI does when a required id is missing
            wrong = [str(error)]
    if wrong:
        raise ValueError(
            f"A {workflow_type} workflow needs MONAI's ids; {bundle.name} ({', '.join(map(str, names))}) lacks or "
            f"renames {'; '.join(wrong)} (see monai/bundle/properties.py). Define them."
        )
    logger.info("%s: %s passes check_properties", bundle.name, " + ".join(Path(name).name for name in names))
