"""The entries of a data set: their files, what stands in these, and notes that are valid until they change."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

from kd_monai.atomic import write_json
from kd_monai.errors import UserError

EXTENSIONS = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")
MAX_LISTED = 20


class Entry(TypedDict, total=False):
    """One subject: an image path per modality and a label path; ``channels`` is set where a 4-D file holds several.

    ``patient`` names the person: time points of one patient are different subjects of the same patient.
    """

    subject: str
    patient: str
    grade: str | None
    fold: int | None
    image: dict[str, str]
    channels: dict[str, int]
    label: str


@dataclass
class DataSource:
    """A folder or JSON file of one layout: its entries, what it says of its labels, and what is wrong with it."""

    layout: str
    entries: list[Entry] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    convention: str | None = None
    """Name of the label convention that layout or file declares; None: the user declares it, or the values tell it."""
    hint: str = ""
    """What the data set itself says of its labels, for an error message."""

    def add_file(self, entry: Entry, kind: str, paths: list[Path]) -> None:
        """Enter the file of a modality, or of the ``"label"``; several files for it are a problem."""
        if len(paths) > 1:
            what = "the label" if kind == "label" else kind
            self.problems.append(
                f"subject {entry['subject']}: one file per modality is allowed, but {len(paths)} claim {what}: "
                f"{', '.join(map(str, paths))}. Remove or rename all but one."
            )
        if kind == "label":
            entry["label"] = str(paths[0])
        else:
            entry["image"][kind] = str(paths[0])


def data_error(problems: Sequence[str]) -> UserError:
    """One error for all problems of a data set: a line each, the first 20 in full."""
    if len(problems) == 1:
        return UserError(problems[0])
    lines = [f"{len(problems)} problems in the data:", *(f"  - {problem}" for problem in problems[:MAX_LISTED])]
    if len(problems) > MAX_LISTED:
        lines.append(f"  ... and {len(problems) - MAX_LISTED} more. Correct these and start again to see the rest.")
    return UserError("\n".join(lines))


def read_json(path: Path) -> Any:
    """Contents of a user's JSON file.

    Raises:
        UserError: it cannot be read, or is not JSON.
    """
    try:
        return json.loads(path.read_text())
    except (OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path} must be a JSON file, but reading it failed: {error}. Correct the name or the file."
        ) from error


def strip_extension(name: str) -> str:
    """File name without its image extension."""
    for extension in EXTENSIONS:
        if name.lower().endswith(extension):
            return name[: -len(extension)]
    return name


def files_of(path: str | Path) -> list[Path]:
    """Files that an image consists of: those of a DICOM folder, an MHD header and the voxels it names, or one."""
    path = Path(path)
    if path.is_dir():
        return sorted(item for item in path.iterdir() if item.is_file() and not item.name.startswith("."))
    if path.suffix.lower() != ".mhd":
        return [path]
    with path.open(encoding="latin-1") as header:
        named = header.read(2**16).partition("ElementDataFile")[2].lstrip(" =").splitlines()
    return [path, *(file for name in named if name.strip() and (file := path.parent / name.strip()).is_file())]


def file_signature(path: str | Path) -> tuple[int, int]:
    """Size in bytes and latest modification in ns of an image's files."""
    stats = [file.stat() for file in files_of(path)]
    return sum(stat.st_size for stat in stats), max((stat.st_mtime_ns for stat in stats), default=0)


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
