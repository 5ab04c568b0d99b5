"""Subjects of a folder with a dataset.json: MSD Task01 (one 4-D image each) or nnU-Net raw (one file a channel)."""

import json
from pathlib import Path
from typing import Any

from kd_monai.data.entries import EXTENSIONS, DataSource, Entry, read_json, strip_extension
from kd_monai.data.layouts.brats_folder import canonical_modality, patient_of
from kd_monai.data.layouts.datalist_json import read_datalist_json
from kd_monai.errors import UserError

MSD_CHANNELS = ("flair", "t1", "t1ce", "t2")


def _channels(description: dict[str, Any], path: Path) -> dict[str, int]:
    """Channel number by modality, from ``channel_names`` (nnU-Net v2) or ``modality`` (MSD, nnU-Net v1)."""
    names = description.get("channel_names") or description.get("modality")
    if not names:
        return {name: number for number, name in enumerate(MSD_CHANNELS)}
    names = dict(enumerate(names)) if isinstance(names, list) else names
    channels: dict[str, int] = {}
    for number, name in names.items():
        modality = canonical_modality(str(name))
        if modality in channels:
            raise UserError(f"{path}: two channels are called {modality}: {names}. Name each modality once.")
        if modality:
            channels[modality] = int(number)
    if not channels:
        raise UserError(
            f"{path}: its channels must be called T1, T1ce, T2, FLAIR (or T1w, T1Gd, T2w; or t1n, t1c, t2w, t2f): "
            f"got {names}. Correct them."
        )
    return channels


def _read_msd(root: Path, items: list[Any], channels: dict[str, int]) -> DataSource:
    source = DataSource("msd", convention="msd")
    for number, item in enumerate(items):
        if not isinstance(item, dict) or not {"image", "label"} <= item.keys():
            source.problems.append(
                f"{root / 'dataset.json'}: training item {number} needs 'image' and 'label': got {item}."
            )
            continue
        subject = strip_extension(Path(item["image"]).name)
        entry = Entry(subject=subject, patient=subject, grade=None, channels=dict(channels))
        entry["image"] = {modality: str(root / item["image"]) for modality in channels}
        entry["label"] = str(root / item["label"])
        source.entries.append(entry)
    return source


def _read_nnunet(root: Path, channels: dict[str, int]) -> DataSource:
    source = DataSource("nnunet")
    modality_of = {number: modality for modality, number in channels.items()}
    files: dict[str, dict[str, list[Path]]] = {}
    for path in sorted((root / "imagesTr").iterdir()):
        subject, _, number = strip_extension(path.name).rpartition("_")
        if path.name.startswith(".") or not path.name.lower().endswith(EXTENSIONS) or not number.isdigit():
            continue
        modality = modality_of.get(int(number))
        if subject and modality:
            files.setdefault(subject, {}).setdefault(modality, []).append(path)
    for subject, images in files.items():
        entry = Entry(subject=subject, patient=patient_of(subject), grade=None, image={})
        candidates = [root / "labelsTr" / f"{subject}{extension}" for extension in EXTENSIONS]
        labels = [path for path in candidates if path.is_file()]
        for kind, paths in (images | ({"label": labels} if labels else {})).items():
            source.add_file(entry, kind, paths)
        source.entries.append(entry)
    return source


def read_dataset_json(path: Path) -> DataSource:
    """Entries of the folder around an MSD or nnU-Net ``dataset.json``.

    Raises:
        UserError: the file is not JSON, or names no channel that is a BraTS modality.
    """
    root, description = path.parent, read_json(path)
    if not isinstance(description, dict):
        raise UserError(f"{path} must hold a JSON object; it holds a {type(description).__name__}. Correct the file.")
    items = description.get("training")
    if isinstance(items, list) and any(
        isinstance(item, dict) and not isinstance(item.get("image"), str) for item in items
    ):
        return read_datalist_json(path)  # MONAI's kind of list under the same file name
    channels = _channels(description, path)
    numbered = any((root / "imagesTr").glob("*_0000.*"))
    if not numbered and items:
        source = _read_msd(root, items, channels)
    elif (root / "imagesTr").is_dir():
        source = _read_nnunet(root, channels)
    else:
        source = DataSource("nnunet")
    source.hint = f"dataset.json says labels = {json.dumps(description.get('labels'))}"
    if not source.entries:
        source.problems.append(
            f"{path} describes no subject: expected a list 'training' with 4-D images (MSD Task01) or files "
            f"{root / 'imagesTr'}/<case>_0000.nii.gz (nnU-Net)."
        )
    return source
