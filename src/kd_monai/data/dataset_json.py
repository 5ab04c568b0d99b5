"""Subjects of a folder with a dataset.json: MSD Task01 (one 4-D image a subject) or nnU-Net raw (one file a channel)."""

import json
from pathlib import Path
from typing import Any

from kd_monai.data.brats_folder import patient_of
from kd_monai.data.errors import DataError
from kd_monai.data.found import EXTENSIONS, Entry, Found, strip_extension
from kd_monai.data.modality_names import canonical_modality

MSD_CHANNELS = ("flair", "t1", "t1ce", "t2")


def read_json(path: Path) -> Any:
    """Contents of a JSON file.

    Raises:
        DataError: it is not JSON.
    """
    try:
        return json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} must be a JSON file, but reading it failed: {error}. Correct or replace it."
        ) from error


def _channels(description: dict[str, Any], path: Path) -> dict[str, int]:
    """Channel number by modality, from ``channel_names`` (nnU-Net v2) or ``modality`` (MSD, nnU-Net v1)."""
    names = description.get("channel_names") or description.get("modality")
    if not names:
        return {name: number for number, name in enumerate(MSD_CHANNELS)}
    if isinstance(names, list):
        names = dict(enumerate(names))
    channels: dict[str, int] = {}
    for number, name in names.items():
        modality = canonical_modality(str(name))
        if modality in channels:
            raise DataError(f"{path}: two channels are called {modality}: {names}. Name each modality once.")
        if modality:
            channels[modality] = int(number)
    if not channels:
        raise DataError(
            f"{path}: its channels must be called T1, T1ce, T2 or FLAIR (or T1w, T1Gd, T2w, t1n, t1c, t2w, t2f): got {names}. "
            "Correct channel_names."
        )
    return channels


def _find_msd(root: Path, description: dict[str, Any], channels: dict[str, int]) -> Found:
    found = Found("msd", convention="msd")
    for item in description["training"]:
        image, label = (root / item[key] for key in ("image", "label"))
        subject = strip_extension(image.name)
        entry = Entry(subject=subject, patient=subject, grade=None, image={}, channels=dict(channels))
        if image.is_file():
            entry["image"] = {modality: str(image) for modality in channels}
        else:
            found.problems.append(f"subject {subject}: {image}, named in dataset.json, does not exist. Add it.")
        if label.is_file():
            entry["label"] = str(label)
        found.entries.append(entry)
    return found


def _find_nnunet(root: Path, description: dict[str, Any], channels: dict[str, int]) -> Found:
    found = Found("nnunet", hint=f"dataset.json says labels = {json.dumps(description.get('labels'))}")
    modality_of = {number: modality for modality, number in channels.items()}
    images: dict[str, dict[str, list[Path]]] = {}
    for path in sorted((root / "imagesTr").iterdir()):
        subject, _, number = strip_extension(path.name).rpartition("_")
        if path.name.startswith(".") or not path.name.lower().endswith(EXTENSIONS) or not number.isdigit():
            continue
        modality = modality_of.get(int(number))
        if subject and modality:
            images.setdefault(subject, {}).setdefault(modality, []).append(path)
    for subject, paths in images.items():
        entry = Entry(subject=subject, patient=patient_of(subject), grade=None, image={})
        labels = [root / "labelsTr" / f"{subject}{extension}" for extension in EXTENSIONS]
        for kind, claims in {**paths, "label": [path for path in labels if path.is_file()]}.items():
            if len(claims) > 1:
                found.problems.append(
                    f"subject {subject}: one file per modality is allowed, but {len(claims)} claim {kind}: "
                    f"{', '.join(map(str, claims))}. Remove one."
                )
            if kind == "label" and claims:
                entry["label"] = str(claims[0])
            elif claims:
                entry["image"][kind] = str(claims[0])
        found.entries.append(entry)
    return found


def find_dataset_json(path: Path) -> Found:
    """Entries of the folder around an MSD or nnU-Net ``dataset.json``.

    Raises:
        DataError: the file is not JSON, or names no channel that is a BraTS modality.
    """
    root, description = path.parent, read_json(path)
    channels = _channels(description, path)
    numbered = any((root / "imagesTr").glob("*_0000.*"))
    if not numbered and description.get("training"):
        found = _find_msd(root, description, channels)
    elif (root / "imagesTr").is_dir():
        found = _find_nnunet(root, description, channels)
    else:
        found = Found("nnunet")
    if not found.entries:
        found.problems.append(
            f"{path} describes no subject: expected a list 'training' with 4-D images (MSD Task01) or files "
            f"{root / 'imagesTr'}/<case>_0000.nii.gz (nnU-Net). Correct DATA."
        )
    return found
