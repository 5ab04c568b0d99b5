"""What MLflow takes as names and values."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any

LONGEST_PARAM = 500  # what older servers take; config.yaml holds the whole
LONGEST_TAG = 5000
LEGAL_NAME = re.compile(r"[A-Za-z0-9_\-. :/]{1,250}")


def check_name(name: str) -> str:
    """Return a metric's or parameter's name that MLflow takes.

    Raises:
        ValueError: for another one.
    """
    if not LEGAL_NAME.fullmatch(name) or posixpath.normpath(name) != name or name.startswith(("/", ".")):
        raise ValueError(
            "A metric's or parameter's name must be 1 to 250 of letters, digits, '_', '-', '.', ':', space and '/', "
            f"and a clean relative path; got {name!r}. Write a modality subset with '-', as in t1-t2."
        )
    return name


def flat_params(values: Mapping[str, Any]) -> dict[str, str]:
    """Write nested parameters as ``a/b`` and every value as text, cut to what a server takes.

    >>> flat_params({"seed": 0, "optimizer": {"lr": 0.001}})
    {'seed': '0', 'optimizer/lr': '0.001'}
    """
    return {check_name(name): shortened(str(value), LONGEST_PARAM) for name, value in _leaves(values)}


def text_tags(values: Mapping[str, Any]) -> dict[str, str]:
    """Every value as text, cut to what a server takes."""
    return {check_name(name): shortened(str(value), LONGEST_TAG) for name, value in values.items()}


def shortened(text: str, longest: int) -> str:
    """Cut `text` so that it and the mark of the cut have `longest` characters."""
    return text if len(text) <= longest else text[: longest - 3] + "..."


def _leaves(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from ((f"{name}/{inner}", leaf) for inner, leaf in _leaves(value))
        else:
            yield name, value
