"""Stacked method overlays, checked: MONAI lets a later file silently replace what an earlier one said."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from pydoc import locate
from typing import Any

from monai.bundle import ConfigParser

MERGED = "+terms"
_ID = re.compile(r"terms|\+?terms(#|::).*")


def check_methods(base: Path, overlays: Sequence[Path]) -> None:
    """Whether methods can stand together: every term is defined once, one overlay at most sets the segmentation weight.

    The first overlay may replace the base's terms (``terms:``) or change one (``terms#name#weight:``); those behind it
    add theirs (``+terms:``). One without terms (``terms: null``) stands alone.

    Args:
        base: ``train.yaml``.
        overlays: method files in the order in which they stack.

    Raises:
        ValueError: a term is defined twice, terms are replaced or changed behind the first overlay, a method without
            terms is stacked, or two set the segmentation weight.
    """
    where = dict.fromkeys(ConfigParser.load_config_file(base).get("terms") or {}, base)
    weighted: list[Path] = []
    for position, path in enumerate(overlays):
        config = ConfigParser.load_config_file(path)
        if len(overlays) > 1 and "terms" in config and not config["terms"]:
            raise ValueError(f"A method without terms stands alone; got {', '.join(p.stem for p in overlays)}. Choose.")
        replaced = [key for key in config if _ID.fullmatch(key)]
        if position and replaced:
            raise ValueError(
                f"A method behind another adds its terms under '{MERGED}:'; {path} replaces what others say under "
                f"'{replaced[0]}:'. Stack it first (METHOD={path.stem},...)."
            )
        if "terms" in config:
            where = {}
        for name in {**(config.get("terms") or {}), **(config.get(MERGED) or {})}:
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


def inner_folds(files: Sequence[Path], overrides: Mapping[str, Any]) -> int:
    """Number of inner folds, and so of teachers beside that of the whole training part; 0 without TEACHERS=crossfit.

    Args:
        files: ``train.yaml`` and the overlays of a student; a method's may ask for cross-fitted teachers.
        overrides: configuration id -> value.
    """
    return inner_folds_of({**ConfigParser.load_config_files(list(files)), **overrides})


def inner_folds_of(config: Mapping[str, Any]) -> int:
    """`inner_folds` of a student's configuration."""
    return int(config["inner_folds"] or 0) if config["teachers"] == "crossfit" else 0  # of a baseline: null


def heads_needed(config: Mapping[str, Any]) -> dict[str, str]:
    """Term -> the one head it reads (its class's `needs_head`), of those that do not read either.

    Args:
        config: of a training, or of a method alone.
    """
    terms = {name: entry.get("term") for name, entry in (config.get("terms") or {}).items()}
    classes = {name: locate(term["_target_"]) for name, term in terms.items() if isinstance(term, Mapping)}
    return {name: cls.needs_head for name, cls in classes.items() if hasattr(cls, "needs_head")}


def check_heads(files: Sequence[Path], overrides: Mapping[str, Any]) -> None:
    """Whether every term reads the head that is going to be trained.

    Teacher, baseline and student share the head, so a method cannot choose one; asked here, nothing is trained in vain.

    Args:
        files: ``train.yaml`` and the overlays of a student.
        overrides: configuration id -> value.

    Raises:
        ValueError: a term reads another head.
    """
    config = ConfigParser.load_config_files(list(files))
    head = overrides.get("head", config["head"])
    for name, needed in heads_needed(config).items():
        if needed != head:
            raise ValueError(
                f"Term {name!r} of {files[-1]} reads the head {needed!r}; this training has {head!r}. Train teacher, "
                f"baseline and student with SET=head={needed} (--set), or choose another METHOD."
            )
