"""Run a bundle's workflow in this process, as `python -m monai.bundle run` would."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from monai.bundle import ConfigWorkflow

from kd_monai.config.plan import Plan
from kd_monai.phases import phase
from kd_monai.runs import RunFolder

logger = logging.getLogger(__name__)

BUNDLES = Path(__file__).parents[3] / "bundles"
TEACHER = BUNDLES / "brats_multimodal_teacher"
STUDENT = BUNDLES / "brats_monomodal_student"


def train_file(bundle: Path) -> Path:
    """The bundle's ``train.yaml``.

    Raises:
        FileNotFoundError: there is no such bundle.
    """
    if not bundle.is_dir():
        raise FileNotFoundError(
            f"The bundles stand in a checkout of kd_monai; there is no {bundle}. Install with pip -e."
        )
    return bundle / "configs" / "train.yaml"


def overlay(bundle: Path, kind: str, name: str) -> Path:
    """The file of an overlay: one of the bundle's own by name, or a path to a YAML of the user's.

    Raises:
        ValueError: there is none of this name.
    """
    if name.endswith((".yaml", ".yml")) and Path(name).is_file():
        return Path(name)
    path = train_file(bundle).parent / f"{kind}s" / f"{name}.yaml"
    if not path.is_file():
        known = sorted(file.stem for file in path.parent.glob("*.yaml"))
        raise ValueError(
            f"{kind.upper()} must be one of {', '.join(known)} or the path of a YAML file; got {name!r}. "
            f"Choose one of them; a new one is written to {path}."
        )
    return path


@contextmanager
def own_errors() -> Iterator[None]:
    """Let the error through that a component raised, without MONAI's "Failed to evaluate" around it."""
    try:
        yield
    except RuntimeError as error:
        cause: BaseException = error
        while str(cause).startswith("Failed to ") and cause.__cause__ is not None:
            cause = cause.__cause__
        if cause is error:
            raise
        raise cause from None


def _workflow(bundle: Path, files: Sequence[Path], overrides: Mapping[str, Any]) -> ConfigWorkflow:
    plan = Plan.read("", bundle, files, {"bundle_root": str(bundle), **overrides})
    return ConfigWorkflow(
        config_file=[str(file) for file in files],
        workflow_type="train",
        logging_file=False,  # the caller has set up its logs
        plan=plan,
        **plan.overrides,
    )


@phase("set-up")
def train(bundle: Path, overlays: Sequence[Path], overrides: Mapping[str, Any]) -> RunFolder:
    """Train what a bundle's ``train.yaml`` and overlays describe, unless it is trained already.

    Args:
        bundle: the bundle's folder.
        overlays: files that stack behind ``train.yaml``, in order.
        overrides: configuration id -> value, last.

    Returns:
        The finished run's folder.

    Raises:
        ValueError, RuntimeError, OSError: whatever the workflow refuses; the run is then marked FAILED.
        KeyboardInterrupt: its user stopped it; the run is then marked KILLED.
    """
    workflow = _workflow(bundle, [bundle / "configs" / "train.yaml", *overlays], overrides)
    record: RunFolder | None = None
    try:
        with own_errors():
            try:
                workflow.initialize()
            except SystemExit as stop:
                if stop.code:
                    raise
                return workflow.parser.get_parsed_content("record")  # finished already
            record = workflow.parser.get_parsed_content("record")
            workflow.run()
            workflow.finalize()
    except KeyboardInterrupt:
        if record is not None:
            record.fail("KILLED")
        raise
    finally:
        if record is not None:
            record.fail()  # no more than a look where the run is finished
    return record


@phase("scoring")
def evaluate(bundle: Path, run_dir: Path, overrides: Mapping[str, Any]) -> Path:
    """Score a finished run on its test fold.

    Args:
        bundle: the bundle that trained it.
        run_dir: the run's folder.
        overrides: configuration id -> value.

    Returns:
        The per-case table, ``cases.csv``.
    """
    files = [bundle / "configs" / "train.yaml", run_dir / "config.yaml", bundle / "configs" / "evaluate.yaml"]
    workflow = _workflow(bundle, files, {**overrides, "run_dir": str(run_dir)})
    with own_errors():
        workflow.initialize()
        workflow.run()
        workflow.finalize()
    return run_dir / "cases.csv"
