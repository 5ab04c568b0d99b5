"""A finished run that never trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigWorkflow

from kd_monai.config.plan import Plan
from kd_monai.runs import RunFolder


def untrained_run(bundle: Path, config_files: list[Path], **overrides: Any) -> Path:
    """The folder of a run with the weights it would have started from: enough to check configurations with.

    Args:
        bundle: the bundle's folder.
        config_files: ``train.yaml`` and the overlays behind it.
        overrides: configuration id -> value.

    Returns:
        The run's folder, marked FINISHED.
    """
    plan = Plan.read("", bundle, config_files, {"bundle_root": str(bundle), **overrides})
    workflow = ConfigWorkflow(
        config_file=[str(file) for file in config_files],
        workflow_type="train",
        logging_file=False,
        init_id="parse only",
        plan=plan,
        **plan.overrides,
    )
    workflow.initialize()
    record: RunFolder = workflow.parser.get_parsed_content("record")
    record.open()
    torch.save(workflow.network_def.state_dict(), record.model)
    record.finish()
    return record.path
