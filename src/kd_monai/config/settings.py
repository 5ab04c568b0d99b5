"""Which of the given settings a run's configuration has a place for."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from kd_monai.config.config_files import ConfigFiles

logger = logging.getLogger(__name__)


def fitting(
    overrides: Mapping[str, Any],
    files: Sequence[Path],
    others: Sequence[Sequence[Path]] = (),
    fixed: Collection[str] = (),
) -> dict[str, Any]:
    """The overrides that belong to one configuration, of a command that trains from several.

    MONAI takes an override of an id that no file has without a word, and a misspelt one would train the wrong thing.
    A new key may be added inside a known component: ``network_def#dropout``.

    Args:
        overrides: configuration id -> value.
        files: ``train.yaml`` and the overlays of this run.
        others: the same of the other runs; what they alone know is left out here.
        fixed: ids that make this run what it is, and that no override changes.

    Raises:
        ValueError: an id is in none of the configurations.
    """
    own, *further = (ConfigParser(ConfigFiles.load_config_files(list(stack))) for stack in (files, *others))
    kept = {}
    for target, value in overrides.items():
        if has_place(target, own, fixed):
            kept[target] = value
        elif any(has_place(target, other) for other in (own, *further)):
            logger.info("%s=%s is for other runs than that of %s.", target, value, files[-1])
        else:
            known_files = dict.fromkeys(str(path) for stack in (files, *others) for path in stack)
            raise ValueError(
                f"A setting (SET) is an id of the configuration; {target!r} is in none of {', '.join(known_files)}. "
                "Correct SET (--set), or TEACHER_SET (--teacher-set)."
            )
    return kept


def has_place(target: str, config: ConfigParser, fixed: Collection[str] = ()) -> bool:
    """Whether a configuration has an id, or the component that a new key may be added to, and it is not fixed."""
    name = target.replace("::", "#")
    return (name.rpartition("#")[0] or target) in config and name.partition("#")[0] not in fixed
