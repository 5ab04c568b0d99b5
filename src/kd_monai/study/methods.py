"""Stacked method overlays, checked: MONAI lets a later file silently replace what an earlier one said."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from monai.bundle import ConfigParser

MERGED = "+terms"


def check_methods(base: Path, overlays: Sequence[Path]) -> None:
    """Whether methods can stand together: every term is defined once, one overlay at most sets the segmentation weight.

    The first overlay may replace the base's terms (``terms:``); those behind it add theirs (``+terms:``).

    Args:
        base: ``train.yaml``.
        overlays: method files in the order in which they stack.

    Raises:
        ValueError: a term is defined twice, terms are replaced behind the first overlay, or two set the weight.
    """
    where = dict.fromkeys(ConfigParser.load_config_file(base).get("terms") or {}, base)
    weighted: list[Path] = []
    for position, path in enumerate(overlays):
        config = ConfigParser.load_config_file(path)
        if "terms" in config:
            if position:
                raise ValueError(
                    f"A method behind another adds its terms under '{MERGED}:'; {path} replaces all of them under "
                    f"'terms:'. Stack it first (METHOD={path.stem},...)."
                )
            where = {}
        for name in {**(config.get("terms") or {}), **config.get(MERGED, {})}:
            if name in where:
                raise ValueError(
                    f"A term is defined once; {name!r} stands in {where[name]} and in {path}. "
                    "Give one of them another name."
                )
            where[name] = path
        weighted += [path] if "segmentation_weight" in config else []
    if len(weighted) > 1:
        raise ValueError(
            f"One method sets the segmentation weight; got {', '.join(map(str, weighted))}. Remove it from all but one."
        )
