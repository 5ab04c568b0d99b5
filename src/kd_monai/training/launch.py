"""Run a bundle's workflow in this process, as `python -m monai.bundle run` would."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from monai.bundle import ConfigWorkflow

from kd_monai.phases import phase
from kd_monai.runs.folder import RunFolder

logger = logging.getLogger(__name__)

BUNDLES = Path(__file__).parents[3] / "bundles"
TEACHER = BUNDLES / "brats_multimodal_teacher"
SHARED = BUNDLES / "shared"
STUDENT = BUNDLES / "brats_monomodal_student"


def train_files(bundle: Path) -> list[Path]:
    """What a training of the bundle stacks, overlays aside.

    Raises:
        FileNotFoundError: there is no such bundle.
    """
    if not bundle.is_dir():
        raise FileNotFoundError(
            f"The bundles stand in a checkout of kd_monai; there is no {bundle}. Install with pip -e."
        )
    return [SHARED / "preprocessing.yaml", SHARED / "train.yaml", bundle / "configs" / "train.yaml"]


def inference_files(bundle: Path) -> list[Path]:
    """What predicts: of an exported bundle its one file, of a bundle here what an export joins."""
    own = bundle / "configs" / "inference.yaml"
    whole = (bundle / "scripts").is_dir()
    return [own] if whole else [SHARED / "preprocessing.yaml", SHARED / "prediction.yaml", own]


def overlay(bundle: Path, kind: str, name: str) -> Path:
    """The file of an overlay: a shared one or the bundle's own by name, or a path to a YAML of the user's.

    Raises:
        ValueError: there is none of this name.
    """
    if name.endswith((".yaml", ".yml")) and Path(name).is_file():
        return Path(name)
    folders = [SHARED / f"{kind}s", train_files(bundle)[-1].parent / f"{kind}s"]
    known = {file.stem: file for folder in folders for file in sorted(folder.glob("*.yaml"))}
    if name not in known:
        raise ValueError(
            f"{kind.upper()} must be one of {', '.join(sorted(known))} or the path of a YAML file; got {name!r}. "
            f"Choose one of them; a new one is written to {folders[-1] / name}.yaml."
        )
    return known[name]


@contextmanager
def bundle_scripts(folder: Path) -> Iterator[None]:
    """Let ``scripts`` be those of this folder meanwhile, as MONAI does in `run` alone and for one bundle a process."""
    _forget_scripts()
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        _forget_scripts()


def _forget_scripts() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "scripts"]:
        del sys.modules[name]


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
    return ConfigWorkflow(
        config_file=[str(file) for file in files],
        workflow_type="train",
        meta_file=str(bundle / "configs" / "metadata.json"),
        logging_file=False,  # the caller has set up its logs
        bundle_root=str(bundle),
        **overrides,
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
    workflow = _workflow(bundle, [*train_files(bundle), *overlays], overrides)
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
    files = [*train_files(bundle), run_dir / "config.yaml", SHARED / "evaluate.yaml"]
    workflow = _workflow(bundle, files, {**overrides, "run_dir": str(run_dir)})
    with own_errors():
        workflow.initialize()
        workflow.run()
        workflow.finalize()
    return run_dir / "cases.csv"
