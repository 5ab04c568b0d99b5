"""A bundle's own resolved configuration, and the key that it gives a run."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping
from typing import Any

from monai.bundle import ConfigParser

# Where a run happens and how it is watched, not what it computes.
NOT_IDENTITY = frozenset(
    {
        "imports", "finalize", "bundle_root", "dataset_dir", "output_dir", "run_dir", "device",
        "cache", "cache_dir", "num_workers", "force", "experiment", "teacher", "split_file", "dataset",
        "evaluator", "_meta_", "recipe", "labels", "precision", "unlabelled",
    }
)  # fmt: skip

# the way to a batch that changes no bit of it; any other is a part of the identity
SAME_BATCHES = "$kd_data.collate"


def identity(config: Mapping[str, Any]) -> dict[str, Any]:
    """What of a resolved configuration says what a run computes."""
    kept = {name: value for name, value in config.items() if name not in NOT_IDENTITY}
    train = kept.get("train", {})
    loader = train.get("dataloader", {}) if isinstance(train, Mapping) else {}
    if isinstance(loader, Mapping) and loader.get("collate_fn") == SAME_BATCHES:
        loader = {name: value for name, value in loader.items() if name != "collate_fn"}
        kept["train"] = {**train, "dataloader": loader}
    return kept


# a run that counts to less than one writes no weights
COUNTS = ("epochs", "steps_per_epoch", "batch_size", "val_every")


def check_counts(config: Mapping[str, Any]) -> None:
    """Whether what a training counts with is whole and at least one; an expression is taken as it stands.

    Raises:
        ValueError: it is not.
    """
    for name in COUNTS:
        value = config.get(name, 1)
        if isinstance(value, str) and value.startswith(("$", "@")):
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(
                f"`{name}` must be a whole number, at least 1; got {value!r}. Correct --{name}, or leave it out "
                "to take the recipe's."
            )


def current_parser() -> ConfigParser:
    """The parser that is evaluating the caller.

    MONAI gives a component everything but the configuration it stands in, and a run is identified by all of it:
    overrides of any depth included. The parser is the `self` of a frame further up.

    Raises:
        RuntimeError: nobody is evaluating a configuration.
    """
    frame = inspect.currentframe()
    while frame is not None:
        candidate = frame.f_locals.get("self")
        if isinstance(candidate, ConfigParser):
            return candidate
        frame = frame.f_back
    raise RuntimeError(
        "A run is identified by its configuration, and none is being evaluated: build this object from a bundle's "
        "YAML (`python -m monai.bundle run`, kd_monai.training.launch), or give it `config=`."
    )


def run_key(config: Mapping[str, Any], **facts: str | None) -> str:
    """The identity of a run: SHA-256 over what it computes.

    Args:
        config: resolved configuration; keys that only say where it runs are left out.
        facts: what the left-out keys come to: digests of data, split and teacher, label convention, precision.

    Returns:
        64 hexadecimal digits.
    """
    return hashlib.sha256(
        json.dumps([_plain(identity(config)), facts], sort_keys=True, default=str).encode()
    ).hexdigest()


def _plain(value: Any) -> Any:
    """2 and 2.0 mean the same in a configuration."""
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
