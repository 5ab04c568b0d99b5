"""What stands in files: digests of their contents, and notes about them that are valid until they change."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kd_monai.atomic import write_json
from kd_monai.data.entries import Entry, file_signature, files_of

_GZIP = b"\x1f\x8b"
_BLOCK = 2**20


def gzip_crc(path: Path) -> str | None:
    """CRC-32 of what a gzip file decompresses to, from its last 8 bytes; None for another file.

    Also None where that is no larger than the file: it may then be of many members (bgzip), and those bytes tell of the
    last one alone.
    """
    with path.open("rb") as file:
        if file.read(2) != _GZIP:
            return None
        size = file.seek(0, 2)
        file.seek(max(0, size - 8))
        end = file.read()
    return end[:4].hex() if int.from_bytes(end[4:], "little") > size else None


def bytes_digest(path: Path) -> str:
    """sha256 of the bytes of an image's files; a CRC-32 of bytes that end in their own CRC-32 is the same for all."""
    digest = hashlib.sha256()
    for part in files_of(path):
        with part.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()


def file_contents(entries: Iterable[Entry], memory: Path | None = None) -> dict[str, str]:
    """Path -> size in bytes and checksum of every file of these subjects that exists.

    A gzip file tells its checksum in its last bytes; others are read once, and noted in the JSON file ``memory``.
    """
    known, new = recall(memory, "sha256"), {}
    contents = {}
    for name in {name for entry in entries for name in (*entry["image"].values(), entry.get("label", ""))}:
        path = Path(name)
        if not name or not path.exists():
            continue
        content = gzip_crc(path) if path.is_file() else None
        if content is None:
            key = key_of(path)
            if key not in known:
                known[key] = new[key] = bytes_digest(path)
            content = known[key]
        contents[name] = f"{file_signature(path)[0]}:{content}"
    remember(memory, "sha256", new)
    return contents


def data_digest(entries: Sequence[Entry], memory: Path | None = None) -> str:
    """sha256 over subjects and the size and contents of all their files, whichever of them a run reads.

    Neither the folder of the files nor their time changes it; ``memory``: see `file_contents`.
    """
    contents = file_contents(entries, memory)
    lines = []
    for entry in entries:
        files = sorted({**entry["image"], "label": entry.get("label", "")}.items())
        known = [f"{kind}:{contents[name]}" for kind, name in files if name in contents]
        lines.append("\t".join([entry["subject"], *known]))
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


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
