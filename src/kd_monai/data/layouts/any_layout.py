"""From a path to the entries of the data set there, whichever its layout."""

import os
from pathlib import Path

from kd_monai.data.entries import DataSource, Entry
from kd_monai.data.layouts.brats_folder import read_brats_folder
from kd_monai.data.layouts.datalist_json import read_datalist_json
from kd_monai.data.layouts.dataset_json import read_dataset_json
from kd_monai.errors import UserError


def read_source(
    path: str | Path, modalities: tuple[str, ...], with_label: bool = True, variable: str = "DATA"
) -> DataSource:
    """All subjects of a data folder or JSON file, with a problem for each file that this run reads and they lack.

    Args:
        path: folder (BraTS, MSD, nnU-Net raw) or datalist JSON.
        modalities: those that this run reads; no other is required.
        with_label: labels are required too.
        variable: names the path in a message.

    Raises:
        UserError: there is nothing at the path, or a JSON file cannot be understood.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise UserError(
            f"{variable} must name a folder or a datalist JSON: {path.resolve()} does not exist. Correct {variable}."
        )
    description = path / "dataset.json" if path.is_dir() else path
    if description.name == "dataset.json" and description.is_file():
        source = read_dataset_json(description.absolute())
    elif path.is_dir():
        source = read_brats_folder(path)
    else:
        source = read_datalist_json(path.absolute())
    if path.is_dir() and source.problems and not source.entries:
        source.problems[-1] += f" Correct {variable}."
    for entry in source.entries:
        source.problems += _missing_files(entry, modalities, with_label)
    return source


def _missing_files(entry: Entry, modalities: tuple[str, ...], with_label: bool) -> list[str]:
    """One complaint for each file that a run on these modalities reads and the subject lacks."""
    subject, present, label = entry["subject"], entry["image"], entry.get("label", "")
    folder = os.path.dirname(label or next(iter(present.values()), "")) or "the data set"
    problems = [
        f"subject {subject}: modality {modality}, which this run reads, is missing in {folder} (present: "
        f"{', '.join(present) or 'none'}). Add the file, or leave {modality} out of MODALITY and TEACHER_MODALITIES."
        for modality in modalities
        if modality not in present
    ]
    named = dict.fromkeys(present[modality] for modality in modalities if modality in present)
    problems += [f"subject {subject}: {path} does not exist. Add it." for path in named if not os.path.exists(path)]
    if not with_label:
        return problems
    if not label:
        problems.append(
            f"subject {subject}: no label lies in {folder}. Add it (<case>_seg.nii.gz in a BraTS folder), or move the "
            "subject out."
        )
    elif not os.path.exists(label):
        problems.append(f"subject {subject}: the label {label} does not exist. Add it.")
    return problems
