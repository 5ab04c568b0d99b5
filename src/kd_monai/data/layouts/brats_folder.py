"""BraTS: its names of sequences and patients, and its folders, in any tree, of 2018 (``_t1ce``) or 2023 (``-t1c``)."""

import csv
import os
import re
from pathlib import Path

from kd_monai.data.entries import EXTENSIONS, DataSource, Entry
from kd_monai.task import MODALITIES

SYNONYMS = {
    "t1": ("t1", "t1w", "t1n"),
    "t1ce": ("t1ce", "t1c", "t1gd", "t1wce"),
    "t2": ("t2", "t2w"),
    "flair": ("flair", "t2f"),
}
NAMES_2023 = frozenset(("t1n", "t1c", "t2w", "t2f"))
"""File suffixes of BraTS 2023 and later; the earlier years use the canonical names."""

MODALITY_OF = {synonym: modality for modality in MODALITIES for synonym in SYNONYMS[modality]}

_NAME = rf"(?P<case>.+?)[_-](?P<kind>{'|'.join(sorted((*MODALITY_OF, 'seg'), key=len, reverse=True))})"
_FILE = re.compile(rf"{_NAME}({'|'.join(map(re.escape, EXTENSIONS))})", re.IGNORECASE)
_DICOM_FOLDER = re.compile(_NAME, re.IGNORECASE)
# BraTS-GLI-00002-001 is the second time point of a patient, as are Brats18_CBICA_ABM_2 and BraTS19_CBICA_ABM_2;
# BraTS20_Training_002 and BraTS2021_00002 are patients
_TIME_POINT = re.compile(r"(BraTS-[A-Z]+-\d+)-\d+|(BraTS1[5-9]_[^_]+_[^_]+)_\d{1,2}", re.IGNORECASE)


def canonical_modality(name: str) -> str | None:
    """Canonical modality of a channel name such as ``"T1-Gd"`` or ``"T2f"``, or None if it is none.

    >>> canonical_modality("T1-Gd"), canonical_modality("FLAIR"), canonical_modality("CT")
    ('t1ce', 'flair', None)
    """
    return MODALITY_OF.get("".join(letter for letter in name.lower() if letter.isalnum()))


def patient_of(subject: str) -> str:
    """Patient to whom a BraTS case belongs: its name without the time point.

    >>> patient_of("BraTS-GLI-00002-001"), patient_of("Brats18_CBICA_ABM_1"), patient_of("BraTS2021_00002")
    ('BraTS-GLI-00002', 'Brats18_CBICA_ABM', 'BraTS2021_00002')
    """
    match = _TIME_POINT.fullmatch(subject)
    return next(group for group in match.groups() if group) if match else subject


def read_brats_folder(root: Path) -> DataSource:
    """Entries of a BraTS folder; the grade comes from a folder HGG or LGG above the case, or from name_mapping.csv."""
    root = root.absolute()
    files: dict[str, dict[str, list[Path]]] = {}
    kinds = set()
    for path, case, kind in _matches(root):
        kinds.add(kind)
        files.setdefault(case, {}).setdefault(MODALITY_OF.get(kind, "label"), []).append(path)

    is_2023 = bool(kinds & NAMES_2023)
    source = DataSource("brats2023" if is_2023 else "brats2018")
    if is_2023 and kinds & set(MODALITIES):
        source.hint = "file names of BraTS 2018 (_t1ce) and of BraTS 2023 (-t1c) are mixed"
    else:
        source.convention = source.layout
    grades = _grades(root)
    for case in sorted(files):
        entry = Entry(subject=case, patient=patient_of(case), grade=grades.get(case), image={})
        for kind, paths in files[case].items():
            source.add_file(entry, kind, paths)
            entry["grade"] = entry["grade"] or _grade_above(root, paths[0])
        source.entries.append(entry)
    if not source.entries:
        source.problems.append(
            f"no subject lies under {root}: expected <case>/<case>_t1ce.nii.gz (BraTS 2018 to 2021), "
            "<case>/<case>-t1c.nii.gz (BraTS 2023 and later), a dataset.json (MSD, nnU-Net) or a datalist JSON."
        )
    return source


def _matches(root: Path) -> list[tuple[Path, str, str]]:
    """Every (path, case, kind) under the folder, in a fixed order; a folder ``<case>_t1`` is a DICOM series."""
    matches = []
    visited = set()
    for folder, subfolders, files in os.walk(root, followlinks=True):
        visited.add(os.path.realpath(folder))
        series = {name: match for name in subfolders if (match := _DICOM_FOLDER.fullmatch(name))}
        named = {name: match for name in files if (match := _FILE.fullmatch(name)) and not name.startswith(".")}
        for name, match in sorted((series | named).items()):
            matches.append((Path(folder, name), match["case"], match["kind"].lower()))
        # a link may lead back up, or to a folder that has been seen
        subfolders[:] = sorted(
            name
            for name in subfolders
            if not name.startswith(".") and name not in series and os.path.realpath(Path(folder, name)) not in visited
        )
    return matches


def _grades(root: Path) -> dict[str, str]:
    """Grade by subject from BraTS 2019 and 2020's name_mapping.csv, where there is one."""
    table = root / "name_mapping.csv"
    if not table.is_file():
        return {}
    with table.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    return {name: row["Grade"] for row in rows if row.get("Grade") in ("HGG", "LGG") for name in row.values() if name}


def _grade_above(root: Path, path: Path) -> str | None:
    """HGG or LGG if one of the folders from the root down to the file has that name."""
    above = {part.upper() for part in (root.name, *path.relative_to(root).parts[:-1])} & {"HGG", "LGG"}
    return above.pop() if len(above) == 1 else None
