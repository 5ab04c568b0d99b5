"""What looking through a data set brings up, before any file is read."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

EXTENSIONS = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")


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
class Found:
    """Entries of one data set, its layout, what it says of its labels, and what is wrong so far."""

    layout: str
    entries: list[Entry] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    convention: str | None = None
    """Name of the convention that layout or data set declares; None: it must be declared or chosen from the values."""
    hint: str = ""
    """What the data set itself says of its labels, for an error message."""


def strip_extension(name: str) -> str:
    """File name without its image extension."""
    for extension in EXTENSIONS:
        if name.lower().endswith(extension):
            return name[: -len(extension)]
    return name


def claim(found: Found, entry: Entry, kind: str, paths: list[Path]) -> None:
    """Enter the one file of a modality, or of the ``"label"``, and complain if there are several."""
    subject = entry["subject"]
    if len(paths) > 1:
        what = "the label" if kind == "label" else kind
        found.problems.append(
            f"subject {subject}: one file per modality is allowed, but {len(paths)} claim {what}: "
            f"{', '.join(map(str, paths))}. Remove or rename all but one."
        )
    if kind == "label":
        entry["label"] = str(paths[0])
    else:
        entry["image"][kind] = str(paths[0])


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
