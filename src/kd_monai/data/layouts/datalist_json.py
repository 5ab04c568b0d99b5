"""Subjects of a MONAI datalist JSON, ``{"training": [{"image": ..., "label": ...}]}``, paths relative to the file."""

import logging
import re
from pathlib import Path
from typing import Any

from kd_monai.data.entries import DataSource, Entry, read_json, strip_extension
from kd_monai.data.layouts.brats_folder import canonical_modality, patient_of
from kd_monai.errors import UserError
from kd_monai.task import LABEL_CONVENTIONS

logger = logging.getLogger(__name__)

_Files = list[tuple[str, Any, int | None]]
"""(modality, path, channel of a 4-D file)"""


def _modality_of_file(path: str, where: str) -> str:
    modality = canonical_modality(re.split(r"[_-]", strip_extension(Path(path).name))[-1])
    if modality is None:
        raise UserError(
            f"{where}: the modality of {path} is not known. Write the image as {{'t1ce': path, ...}}, or add "
            "'modalities': ['flair', 't1', ...] in the order of the list to the JSON file."
        )
    return modality


def _files(item: Any, order: list[str | None], where: str) -> _Files:
    """Files of an image; sequences that the file declares and this project does not know are left out."""
    if isinstance(item, dict):
        named = [(canonical_modality(str(key)), path, None) for key, path in item.items()]
    elif isinstance(item, str) and len(order) > 1:
        return [(modality, item, channel) for channel, modality in enumerate(order) if modality]
    else:
        paths = [item] if isinstance(item, str) else list(item or [])
        names = order or [_modality_of_file(str(path), where) for path in paths]
        if len(names) != len(paths):
            raise UserError(
                f"{where}: 'modalities' at the top of the file names {len(names)}, but the image lists {len(paths)} "
                "files. Correct either."
            )
        named = [(modality, path, None) for modality, path in zip(names, paths, strict=True)]
    return [(modality, path, channel) for modality, path, channel in named if modality]


def _add_images(entry: Entry, item: Any, order: list[str | None], folder: Path, where: str) -> None:
    for modality, path, channel in _files(item, order, where):
        if modality in entry["image"]:
            raise UserError(
                f"{where}: one file per modality is allowed, but {entry['image'][modality]} and {path} both claim "
                f"{modality}. Remove one."
            )
        entry["image"][modality] = str(folder / path)
        if channel is not None:
            entry.setdefault("channels", {})[modality] = channel


def _subject_name(item: dict[str, Any]) -> str:
    """Subject named by the item, else by its label file without ``_seg``."""
    stem = strip_extension(Path(item["label"]).name)
    return str(item.get("subject") or re.sub(r"[_-](seg|label)$", "", stem, flags=re.IGNORECASE))


def read_datalist_json(path: Path) -> DataSource:
    """Entries of a datalist JSON; top level keys ``label_convention`` and ``modalities`` declare labels and list order.

    An item may also say ``subject``, ``patient``, ``grade`` and ``fold``.

    Raises:
        UserError: no list ``training`` in the file, or its convention is unknown.
    """
    content = read_json(path)
    items = content.get("training") if isinstance(content, dict) else None
    if not items:
        raise UserError(f"{path} must hold a list 'training' of {{'image': ..., 'label': ...}}. Correct it or DATA.")
    declared = content.get("label_convention")
    if declared is not None and declared not in LABEL_CONVENTIONS:
        known = ", ".join(LABEL_CONVENTIONS)
        raise UserError(f"{path}: label_convention must be one of {known}: got {declared!r}. Correct the file.")
    ignored = sorted(key for key in ("validation", "testing", "test") if content.get(key))
    if ignored:
        logger.warning("%s: the lists %s are not read; folds are made from 'training' alone", path, ", ".join(ignored))

    source = DataSource("datalist", convention=declared)
    order = [canonical_modality(str(name)) for name in content.get("modalities", [])]
    seen: dict[str, int] = {}
    for number, item in enumerate(items):
        where = f"{path}, training item {number}"
        if not isinstance(item, dict) or not isinstance(item.get("label"), str):
            source.problems.append(f"{where}: it has no label path. Add 'label'.")
            continue
        subject = _subject_name(item)
        if subject in seen:
            source.problems.append(
                f"subject {subject}: {path} lists it twice, as training items {seen[subject]} and {number}. Remove "
                "one, or give each a 'subject'."
            )
            continue
        seen[subject] = number
        entry = Entry(subject=subject, patient=str(item.get("patient") or patient_of(subject)), image={})
        entry["grade"], entry["fold"] = item.get("grade"), item.get("fold")
        entry["label"] = str(path.parent / item["label"])
        try:
            _add_images(entry, item.get("image"), order, path.parent, f"subject {subject}: {where}")
        except UserError as error:
            source.problems.append(str(error))
        source.entries.append(entry)
    folds = {type(entry["fold"]) for entry in source.entries}
    if len(folds) > 1 or folds - {int, type(None)}:
        source.problems.append(f"{path}: 'fold' must be a whole number in every training item, or in none. Correct it.")
    return source
