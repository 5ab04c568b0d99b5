"""What inference must take over from a training configuration."""

from __future__ import annotations

import json
from typing import Any

from monai.bundle import ConfigParser

SETTINGS = ("modalities", "head", "spacing_mm", "roi_size", "overlap", "network_def")
"""Ids of one section of a bundle's ``inference.yaml``."""


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
