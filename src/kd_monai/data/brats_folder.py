"""Subjects of a BraTS folder: 2018 to 2021 names (``_t1ce``) or 2023 and later (``-t1c``), in any tree of folders."""

import csv
import os
import re
from pathlib import Path

from kd_monai.data.found import EXTENSIONS, Entry, Found
from kd_monai.data.modality_names import MODALITY_OF, NAMES_2023

_KINDS = "|".join(sorted((*MODALITY_OF, "seg"), key=len, reverse=True))
_FILE = re.compile(rf"(?P<case>.+?)[_-](?P<kind>{_KINDS})({'|'.join(map(re.escape, EXTENSIONS))})", re.IGNORECASE)
_DICOM_FOLDER = re.compile(rf"(?P<case>.+?)[_-](?P<kind>{_KINDS})", re.IGNORECASE)
# BraTS-GLI-00002-001 is the second time point of a patient, as is Brats18_CBICA_ABM_2
_TIME_POINT = re.compile(r"(BraTS-[A-Za-z]+-\d+)-\d+|(Brats1[5-9]_.+_.+)_\d+")


def patient_of(subject: str) -> str:
    """Patient to whom a BraTS case belongs: its name without the time point.

    >>> patient_of("BraTS-GLI-00002-001"), patient_of("Brats18_CBICA_ABM_1"), patient_of("BraTS2021_00002")
    ('BraTS-GLI-00002', 'Brats18_CBICA_ABM', 'BraTS2021_00002')
    """
    match = _TIME_POINT.fullmatch(subject)
    return next(group for group in match.groups() if group) if match else subject


def _matches(root: Path) -> list[tuple[Path, str, str]]:
    """Every (path, case, kind) under the folder, in a fixed order; a folder ``<case>_t1`` is a DICOM series."""
    found = []
    for folder, subfolders, files in os.walk(root, followlinks=True):
        for name in sorted(subfolders):
            match = _DICOM_FOLDER.fullmatch(name)
            if match:
                subfolders.remove(name)
                found.append((Path(folder, name), match["case"], match["kind"].lower()))
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in sorted(files):
            match = None if name.startswith(".") else _FILE.fullmatch(name)
            if match:
                found.append((Path(folder, name), match["case"], match["kind"].lower()))
    return found


def _grades(root: Path) -> dict[str, str]:
    """Grade by subject from BraTS 2019 and 2020's name_mapping.csv, where there is one."""
    table = root / "name_mapping.csv"
    if not table.is_file():
        return {}
    with table.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    return {name: row["Grade"] for row in rows if row.get("Grade") in ("HGG", "LGG") for name in row.values() if name}


def find_brats_folder(root: Path) -> Found:
    """Entries of a BraTS folder; the grade comes from a folder HGG or LGG above the case, or from name_mapping.csv."""
    files: dict[str, dict[str, list[Path]]] = {}
    kinds = set()
    for path, case, kind in _matches(root):
        kinds.add(kind)
        files.setdefault(case, {}).setdefault(MODALITY_OF.get(kind, "label"), []).append(path)

    is_2023 = bool(kinds & NAMES_2023)
    found = Found("brats2023" if is_2023 else "brats2018")
    if is_2023 and kinds & {"t1", "t1ce", "t2", "flair"}:
        found.hint = "file names of BraTS 2018 (_t1ce) and of BraTS 2023 (-t1c) are mixed"
    else:
        found.convention = found.layout
    grades = _grades(root)
    for case in sorted(files):
        entry = Entry(subject=case, patient=patient_of(case), grade=grades.get(case), image={})
        for kind, paths in files[case].items():
            if len(paths) > 1:
                found.problems.append(
                    f"subject {case}: one file per modality is allowed, but {len(paths)} claim "
                    f"{'the label' if kind == 'label' else kind}: {', '.join(map(str, paths))}. Remove or rename one."
                )
            if kind == "label":
                entry["label"] = str(paths[0])
            else:
                entry["image"][kind] = str(paths[0])
            above = {part.upper() for part in (root.name, *paths[0].relative_to(root).parts[:-1])} & {"HGG", "LGG"}
            entry["grade"] = entry["grade"] or (above.pop() if len(above) == 1 else None)
        found.entries.append(entry)
    if not found.entries:
        found.problems.append(
            f"no subject was found under {root}: expected <case>/<case>_t1ce.nii.gz (BraTS 2018 to 2021), "
            "<case>/<case>-t1c.nii.gz (BraTS 2023 and later), a dataset.json (MSD, nnU-Net) or a datalist JSON. Correct DATA."
        )
    return found
