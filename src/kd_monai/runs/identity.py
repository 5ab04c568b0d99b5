"""What a run is: the key of what it computes, and what its tracker is told of it."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import platform
import re
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ignite.distributed as idist
import torch
from monai.bundle import ConfigParser, ReferenceResolver

if TYPE_CHECKING:
    from kd_monai.runs.folder import RunFolder
from kd_monai.tracking import Tracker

COMPUTES = 1
"""Raise it with every change of the package that changes what a training computes: all keys change."""

IDENTITY = (
    # which run of a study; its data, split and teacher are digests
    "role", "method", "modality", "fold", "n_subjects", "inner_fold", "split_seed", "seed", "teachers", "init",
    # the network
    "head", "width", "network_def", "initial_network", "network",
    # the loss and its terms
    "segmentation_weight", "terms", "loss", "teacher_handler",
    # optimiser and schedule
    "optimizer", "lr_scheduler", "lr_metric",
    # transforms and samples
    "spacing_mm", "n4", "cached_transforms", "train_samples", "train::random_transforms", "train::dataset",
    "train::sampler", "train::dataloader", "train::prepare_batch", "validate::dataset", "validate::dataloader",
    # the numbers of the recipe
    "roi_size", "overlap", "epochs", "steps_per_epoch", "batch_size", "learning_rate", "val_every", "val_interval",
    # the engines, what is attached to them, and the order of it all
    "train::inferer", "train::trainer", "train::handlers", "validate::inferer", "validate::evaluator",
    "validate::handlers", "initialize", "run",
)  # fmt: skip
"""Configuration ids that say what a run computes. An id that one of these refers to belongs too."""

ELSEWHERE = frozenset(
    {
        # what a digest, or a fact of the run, says in their place
        "datalist", "dataset_dir", "labels", "split_file", "unlabelled", "teacher", "teacher_run", "precision",
        "resolved_precision",
        # where a run happens, and how it is done and watched there
        "bundle_root", "output_dir", "cache", "cache_dir", "device", "num_workers", "memory_format",
        "teacher_runtime", "experiment", "mlflow_store", "recipe", "record", "tracker", "plan", "force",
    }
)  # fmt: skip
"""Ids that a reference is not followed to: another value of theirs alone leaves the key as it is."""

WATCHERS = frozenset(
    {
        "ProgressHandler", "OverlayHandler", "TrackingHandler", "ValidationTrackingHandler", "ResumeHandler",
        "RaiseOnNaN", "StatsHandler", "TensorBoardStatsHandler", "TensorBoardImageHandler", "MLFlowHandler",
        "CheckpointSaver", "MetricsSaver", "GarbageCollector",
    }
)  # fmt: skip
"""Classes of handlers that look on and compute nothing. Every other handler is a part of the identity, a user's too."""

_SCOPE = re.compile(r"(?:import|as)\s+(\w+)\s*$")
_GLOBALS = ("monai", "torch", "numpy", "np")  # what MONAI lets every expression use
_SEPARATOR = ReferenceResolver.sep


def identity(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a configuration that says what a run computes, nested as the configuration is.

    It is `IDENTITY`, closed under references. Of a ``_target_``, and of a function that an expression names, the last
    part of the name counts: where a class is imported from is no part.

    Args:
        config: merged; references and expressions are not resolved.
    """
    parser = ConfigParser({name: copy.deepcopy(value) for name, value in config.items() if name != "_meta_"})
    parser.resolve_macro_and_relative_ids()
    modules = tuple(sorted({*_GLOBALS, *_imported(config.get("imports") or ())}))
    waiting = list(IDENTITY)
    contents: dict[str, Any] = {}
    while waiting:
        name = waiting.pop()
        if name not in contents and name.partition(_SEPARATOR)[0] not in ELSEWHERE and name in parser:
            contents[name] = _plain(parser[name], modules)
            waiting += _references(contents[name])
    nested: dict[str, Any] = {}
    for name in sorted(contents):  # what holds others comes before them
        *above, last = name.split(_SEPARATOR)
        holder: Any = nested
        for part in above:
            holder = holder.setdefault(part, {}) if isinstance(holder, dict) else {}
        if isinstance(holder, dict):
            holder.setdefault(last, contents[name])
    return nested


def run_key(config: Mapping[str, Any], **facts: str | None) -> str:
    """The identity of a run: SHA-256 over what it computes, 64 hexadecimal digits.

    Args:
        config: merged; see `identity`.
        facts: what `ELSEWHERE` leaves out and the training depends on: digests of data, split and teacher, label
            convention, precision, number of processes, unlabelled subjects.
    """
    return content_key([COMPUTES, identity(config), facts])


def content_key(content: Any) -> str:
    """SHA-256 of plain content, whatever the order of its keys; 2 and 2.0 are the same number."""
    numbers = json.loads(json.dumps(_plain(content), default=str), parse_int=float)
    return hashlib.sha256(json.dumps(numbers, sort_keys=True).encode()).hexdigest()


def _imported(imports: Any) -> Iterator[str]:
    """Names that a configuration's imports give to modules."""
    for line in imports if isinstance(imports, (list, tuple)) else [imports]:
        yield from _SCOPE.findall(str(line))


def _plain(value: Any, modules: tuple[str, ...] = ()) -> Any:
    """Values as they count: names without their modules, without handlers that look on."""
    if isinstance(value, Mapping):
        items = {str(name): _plain(item, modules) for name, item in value.items() if not _watches(item)}
        target = items.get("_target_")
        if isinstance(target, str) and not target.startswith("$"):
            items["_target_"] = target.rpartition(".")[2]
        return items
    if isinstance(value, (list, tuple)):
        return [_plain(item, modules) for item in value if not _watches(item)]
    if isinstance(value, str):
        text = ReferenceResolver.normalize_id(value) if value.startswith(("$", "@")) else value
        return _module_names(modules).sub("", text) if modules and text.startswith("$") else text
    return value


@cache
def _module_names(modules: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w.@:])(?:{'|'.join(modules)})\.(?:\w+\.)*(?=\w)")


def _watches(value: Any) -> bool:
    target = value.get("_target_") if isinstance(value, Mapping) else None
    return isinstance(target, str) and target.rpartition(".")[2] in WATCHERS


def _references(content: Any) -> Iterator[str]:
    if isinstance(content, Mapping):
        for item in content.values():
            yield from _references(item)
    elif isinstance(content, list):
        for item in content:
            yield from _references(item)
    elif isinstance(content, str):
        yield from ReferenceResolver.match_refs_pattern(content)


VERSIONS = ("kd_monai", "monai", "torch", "pytorch-ignite", "mlflow", "numpy", "nibabel", "itk")
TAGS = ("role", "method", "modality", "fold", "seed", "run_key", "teacher_key")
DESCRIBED = ("labels", "n_train", "n_val", "n_test", "data_digest", "split_digest", "device", "precision")
RESOLVED = ("memory_format", "teacher_runtime")
"""Settings that the training itself resolves and tells: MLflow keeps a parameter's first value, `auto` would stay."""
STUDY = ("data_digest", "split_digest", "labels", "recipe")


def _git_commit() -> str:
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "not a git checkout"
    return answer.stdout.strip()


def _cpu_name() -> str:
    """As its maker calls it, where the system knows."""
    cpuinfo = Path("/proc/cpuinfo")
    name = re.search(r"model name\s*:\s*(.+)", cpuinfo.read_text()) if cpuinfo.is_file() else None
    return name.group(1).strip() if name else platform.processor() or platform.machine()


class SilentTracker:
    """What the second and further processes of a training (torchrun) tell of it: nothing."""

    def start(self) -> None:
        """Say nothing."""

    def log_resolved(self, values: Mapping[str, str]) -> None:
        """Say nothing."""

    def log_metrics(self, values: dict[str, float], step: int = 0) -> None:
        """Say nothing."""

    def save_durations(self) -> None:
        """Say nothing."""

    def log_durations(self) -> None:
        """Say nothing."""

    def log_artifact(self, path: Path, artifact_path: str | None = None) -> None:
        """Say nothing."""

    def end(self, status: str = "FINISHED") -> None:
        """Say nothing."""


def run_tracker(record: RunFolder, experiment: str = "kd_monai", store: str = "optional") -> Tracker | SilentTracker:
    """A tracker that starts with the training; a run that ends without finishing is marked FAILED.

    Args:
        record: the run.
        experiment: MLflow experiment; one parent run per study lies in it: data set, split, label convention, recipe.
        store: `required`: a store that does not answer stops the training at its start.
    """
    if idist.get_rank() > 0:
        return SilentTracker()
    facts: dict[str, Any] = {f"version/{name}": version(name) for name in VERSIONS}
    facts |= {
        "git_commit": _git_commit(),
        "python": platform.python_version(),
        "torch_threads": torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "cpu_count": os.cpu_count(),
        "cpu": _cpu_name(),
        "split_file": str(record.path / "split.json"),
    }
    settings = {name: value for name, value in record.config.items() if name not in RESOLVED}
    simple = {name: value for name, value in settings.items() if not isinstance(value, dict) or name == "terms"}
    described = {name: record.record[name] for name in DESCRIBED}
    study = {name: record.record[name] for name in STUDY}
    parent_name = f"{study['labels']}-{study['recipe']}-{record.datalist.digest[:8]}"
    tracker = Tracker(
        folder=record.path,
        experiment=experiment,
        run_name=record.name,
        tags={name: record.record[name] for name in TAGS if record.record[name] is not None},
        params={**simple, **described, **facts},
        parent_name=parent_name,
        parent_tags=study,
        replaces=record.replaces,
        required=store == "required",
    )
    record.on_fail.append(tracker.end)
    tracker.on_resolved.append(record.note)
    return tracker
