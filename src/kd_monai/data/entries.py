"""What a data set consists of, before any image is read: entries, and the source that they come from."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

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
