"""Scores and bundle of a finished run."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kd_monai.config.errors import component_errors
from kd_monai.config.overlays import SHARED, bundle_scripts, train_files
from kd_monai.config.plan import Plan
from kd_monai.export.bundle import bundle_of, export_bundle, finished_record, template_of
from kd_monai.phases import phase
from kd_monai.tracking import add_durations
from kd_monai.training.workflow import workflow_of

logger = logging.getLogger(__name__)


def score(folder: Path, overrides: Mapping[str, Any], force: bool = False) -> Path | None:
    """Per-case scores of a finished run on its test fold, and its bundle; what is there is kept.

    Args:
        folder: the run's folder.
        overrides: configuration id -> value of the evaluation: where the data lie now, the device.
        force: score again what is scored.

    Returns:
        ``cases.csv``; None for a run on all subjects, which has no test fold.

    Raises:
        UserError: the folder is no finished run's, or its data are not those it was trained on.
    """
    record = finished_record(folder)
    cases = folder / "cases.csv"
    if record["n_test"] and (force or not cases.is_file()):
        evaluate(template_of(record), folder, overrides)
        with phase("export"):
            export_bundle(folder, template_of(record), folder / "bundle")
        add_durations(folder)
        return cases
    if not (folder / "bundle").is_dir():
        with phase("export"):
            bundle_of(folder)
        add_durations(folder)
    if not record["n_test"]:
        logger.info("%s was trained on every subject (FOLD=all): there is no test fold to score.", folder)
        return None
    logger.info("Scored already: %s", cases)
    return cases


@phase("scoring")
def evaluate(bundle: Path, run_folder: Path, overrides: Mapping[str, Any]) -> None:
    """Write ``cases.csv`` of a finished run: ``evaluate.yaml`` over the run's own configuration."""
    files = [*train_files(bundle), run_folder / "config.yaml", SHARED / "evaluate.yaml"]
    plan = Plan.read("", bundle, files, {**overrides, "run_dir": str(run_folder)})
    workflow = workflow_of(plan, "infer")
    with bundle_scripts(SHARED), component_errors():
        workflow.initialize()
        workflow.run()
        workflow.finalize()
