"""What was learned by reading files: notes in a JSON file, valid until the files change."""

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kd_monai.atomic import write_json
from kd_monai.data.entries import file_signature

logger = logging.getLogger(__name__)


def key_of(path: str | Path) -> str:
    """Name of a file's present state: its path, size and time of modification."""
    size, modified = file_signature(path)
    return f"{os.path.realpath(path)}|{size}|{modified}"


def _content(memory: Path | None) -> dict[str, dict[str, Any]]:
    if memory is None or not memory.is_file():
        return {}
    try:
        return {section: dict(notes) for section, notes in json.loads(memory.read_text()).items()}
    except (ValueError, TypeError, AttributeError):
        logger.warning("%s does not hold what was learned of files; all are read again", memory)
        return {}


def recall(memory: Path | None, section: str) -> dict[str, Any]:
    """Notes of a section by key; none where there is no memory, or a spoilt one."""
    return _content(memory).get(section, {})


def remember(memory: Path | None, section: str, notes: Mapping[str, Any]) -> None:
    """Add notes to a section, atomically."""
    if memory is not None and notes:
        content = _content(memory)
        write_json(memory, {**content, section: {**content.get(section, {}), **notes}})
