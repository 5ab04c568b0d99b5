"""From a path to the entries of the data set that lies there."""

import os
from pathlib import Path

from kd_monai.data.brats_folder import find_brats_folder
from kd_monai.data.dataset_json import find_dataset_json
from kd_monai.data.datalist_json import find_datalist_json
from kd_monai.data.errors import DataError
from kd_monai.data.found import Found


def _missing_files(found: Found, modalities: tuple[str, ...]) -> list[str]:
    problems = []
    for entry in found.entries:
        subject, present = entry["subject"], entry["image"]
        folder = os.path.dirname(entry.get("label") or next(iter(present.values()), "")) or "the data set"
        for modality in modalities:
            if modality not in present:
                problems.append(
                    f"subject {subject}: modality {modality}, which this run reads, is missing in {folder} (present: "
                    f"{', '.join(present) or 'none'}). Add the file, or leave {modality} out of MODALITY and "
                    "TEACHER_MODALITIES."
                )
            elif not os.path.exists(present[modality]):
                problems.append(f"subject {subject}: the {modality} file {present[modality]} does not exist. Add it.")
        if not os.path.exists(entry.get("label", "")):
            named = (
                f"the label file {entry['label']} does not exist"
                if entry.get("label")
                else f"no label lies in {folder}"
            )
            problems.append(
                f"subject {subject}: {named}. Add it (<case>_seg.nii.gz in a BraTS folder), or move the subject out."
            )
    return problems


def find_entries(path: str | Path, modalities: tuple[str, ...]) -> Found:
    """All subjects of a data folder or JSON file, with one problem a line for each file that this run needs and lacks.

    Raises:
        DataError: there is nothing at the path, or a JSON file cannot be understood.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise DataError(f"DATA must name a folder or a datalist JSON: {path} does not exist. Correct DATA.")
    description = path / "dataset.json" if path.is_dir() else path
    if description.name == "dataset.json" and description.is_file():
        found = find_dataset_json(description)
    elif path.is_dir():
        found = find_brats_folder(path)
    else:
        found = find_datalist_json(path)
    found.problems += _missing_files(found, modalities)
    return found
