"""Stacked method overlays: MONAI would let a later file silently replace what an earlier one said."""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from pydoc import locate
from typing import Any

from monai.bundle import ConfigParser

from kd_monai.config.config_files import ConfigFiles

logger = logging.getLogger(__name__)

MERGED = "+terms"
_CHANGES = re.compile(r"\+?terms(#|::).*")


def stack(base: Path, overlays: Sequence[Path]) -> list[Path]:
    """The files of methods that go together, each such that MONAI adds it to those before it.

    The first may replace the base's terms (``terms:``) or change one (``terms#name#weight:``). One behind it that could
    stand alone (``terms:``) lends its terms, and the segmentation weight stays the first one's. One that
    is written to be stacked (``+terms:``) is taken as it is.

    Args:
        base: ``train.yaml``.
        overlays: method files in the order in which they stack; one alone is not changed.

    Returns:
        As many files, of the same names; of those that lend their terms, copies that live as long as this process.

    Raises:
        ValueError: a term is defined twice, a method without terms is stacked or one that has the base's stands behind
            another, a later one changes what others say, or two that are taken as they are set the segmentation weight.
    """
    where = dict.fromkeys(ConfigFiles.load_config_file(base).get("terms") or {}, base)
    weighted: list[Path] = []
    files = []
    for position, path in enumerate(overlays):
        config = ConfigFiles.load_config_file(path)
        names = ", ".join(p.stem for p in overlays)
        if len(overlays) > 1 and "terms" in config and not config["terms"]:
            raise ValueError(f"A method without terms stands alone; got {names}. Choose.")
        changed = [key for key in config if _CHANGES.fullmatch(key)]
        if position and changed:
            raise ValueError(
                f"A method behind another adds its terms under '{MERGED}:'; {path} changes what others say under "
                f"'{changed[0]}:'. Stack it first (METHOD={path.stem},...)."
            )
        if position and config.keys() <= {"method"}:
            raise ValueError(
                f"A method behind another adds terms; {path} has those of {base.name} alone. Stack it first "
                f"(METHOD={path.stem},...)."
            )
        if "terms" in config and not position:
            where = {}
        for name in {**(config.get("terms") or {}), **(config.get(MERGED) or {})}:
            if name in where:
                raise ValueError(
                    f"A term is defined once; {name!r} stands in {where[name]} and in {path}. Give one of them another "
                    "name, of a shipped method in a copy of your own (METHOD=FILE.yaml)."
                )
            where[name] = path
        lends = position > 0 and "terms" in config
        weighted += [path] if "segmentation_weight" in config and not lends else []
        files.append(_lent(path) if lends else path)
    if len(weighted) > 1:
        raise ValueError(
            f"One method sets the segmentation weight; got {', '.join(map(str, weighted))}. Remove it from all but one."
        )
    return files


@cache
def _lent(path: Path) -> Path:
    """A copy that adds its terms, of the same name in a folder of its own."""
    config = ConfigFiles.load_config_file(path)
    if "segmentation_weight" in config:
        logger.info("The segmentation weight of %s is left out: the first method's stays.", path.stem)
    kept = {name: value for name, value in config.items() if name not in ("terms", MERGED, "segmentation_weight")}
    kept[MERGED] = {**config["terms"], **(config.get(MERGED) or {})}
    copy = Path(tempfile.mkdtemp(dir=_copies().name)) / path.name
    ConfigParser.export_config_file(kept, str(copy), fmt="yaml", sort_keys=False)
    return copy


@cache
def _copies() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="kd_monai_methods_")


def inner_folds(files: Sequence[Path], overrides: Mapping[str, Any]) -> int:
    """Number of inner folds, and so of teachers beside that of the whole training part; 0 without TEACHERS=crossfit.

    Args:
        files: ``train.yaml`` and the overlays of a student; a method's may ask for cross-fitted teachers.
        overrides: configuration id -> value.
    """
    return inner_folds_of({**ConfigFiles.load_config_files(list(files)), **overrides})


def inner_folds_of(config: Mapping[str, Any]) -> int:
    """`inner_folds` of a student's configuration.

    Raises:
        ValueError: it is no whole number, at least 2.
    """
    if config["teachers"] != "crossfit" or config["inner_folds"] is None:  # of a baseline: null
        return 0
    number = config["inner_folds"]
    if not isinstance(number, int) or isinstance(number, bool) or number < 2:
        raise ValueError(f"`inner_folds` must be a whole number, at least 2; got {number!r}. Correct SET=inner_folds.")
    return number


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
    config = ConfigFiles.load_config_files(list(files))
    head = overrides.get("head", config["head"])
    for name, needed in heads_needed(config).items():
        if needed != head:
            raise ValueError(
                f"Term {name!r} of {files[-1]} reads the head {needed!r}; this training has {head!r}. Train teacher, "
                f"baseline and student with SET=head={needed} (--set), or choose another METHOD."
            )
