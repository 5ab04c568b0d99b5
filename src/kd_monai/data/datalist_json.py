"""Subjects of a MONAI datalist JSON: ``{"training": [{"image": ..., "label": ...}, ...]}``, paths relative to the file."""

import logging
import re
from pathlib import Path
from typing import Any

from kd_monai.brats import LABEL_CONVENTIONS
from kd_monai.data.brats_folder import patient_of
from kd_monai.data.dataset_json import read_json
from kd_monai.data.errors import DataError
from kd_monai.data.found import Entry, Found, strip_extension
from kd_monai.data.modality_names import canonical_modality

logger = logging.getLogger(__name__)


def _modality_of_file(name: str) -> str | None:
    return canonical_modality(re.split(r"[_-]", strip_extension(Path(name).name))[-1])


def _image_paths(item: Any, order: list[str | None], where: str) -> dict[str, tuple[str, int | None]]:
    """Path and, for a 4-D file, channel by modality."""
    if isinstance(item, dict):
        named = [(canonical_modality(str(key)), path, None) for key, path in item.items()]
    elif isinstance(item, str) and len(order) > 1:
        named = [(modality, item, channel) for channel, modality in enumerate(order)]
    else:
        paths = [item] if isinstance(item, str) else list(item or [])
        names = order or [_modality_of_file(path) for path in paths]
        if len(names) != len(paths):
            raise DataError(
                f"{where}: 'modalities' names {len(names)} modalities, but the image lists {len(paths)} files."
            )
        named = [(name, path, None) for name, path in zip(names, paths, strict=True)]
    result: dict[str, tuple[str, int | None]] = {}
    for modality, path, channel in named:
        if modality is None:
            raise DataError(
                f"{where}: the modality of {path} is not known. Write the image as {{'t1ce': path, ...}}, or add "
                "'modalities': ['flair', 't1', ...] in the order of the list to the JSON file."
            )
        if modality in result:
            raise DataError(
                f"{where}: one file per modality is allowed, but {result[modality][0]} and {path} both claim {modality}. "
                "Remove one."
            )
        result[modality] = (path, channel)
    return result


def _subject_name(item: dict[str, Any], label: str) -> str:
    """Subject named by the item, else by its label file without ``_seg``."""
    return str(item.get("subject") or re.sub(r"[_-](seg|label)$", "", strip_extension(Path(label).name), flags=re.I))


def find_datalist_json(path: Path) -> Found:
    """Entries of a datalist JSON; top level keys ``label_convention`` and ``modalities`` declare labels and list order.

    An item may also say ``subject``, ``patient``, ``grade`` and ``fold``.

    Raises:
        DataError: no list ``training`` in the file, or its convention is unknown.
    """
    content = read_json(path)
    items = content.get("training") if isinstance(content, dict) else None
    if not items:
        raise DataError(
            f"{path} must hold a list 'training' of {{'image': ..., 'label': ...}}; it has none. Correct DATA."
        )
    declared = content.get("label_convention")
    if declared is not None and declared not in LABEL_CONVENTIONS:
        raise DataError(
            f"{path}: label_convention must be one of {', '.join(LABEL_CONVENTIONS)}: got {declared!r}. Correct the file."
        )
    ignored = sorted(key for key in ("validation", "testing", "test") if content.get(key))
    if ignored:
        logger.warning("%s: the lists %s are not read; folds are made from 'training' alone", path, ", ".join(ignored))
    found = Found("datalist", convention=declared)
    order = [canonical_modality(str(name)) for name in content.get("modalities", [])]
    seen: dict[str, int] = {}
    for number, item in enumerate(items):
        where = f"{path}, training item {number}"
        if not isinstance(item.get("label"), str):
            found.problems.append(f"{where}: it has no label path. Add 'label'.")
            continue
        subject = _subject_name(item, item["label"])
        if subject in seen:
            found.problems.append(
                f"subject {subject}: {path} lists it twice, as training items {seen[subject]} and {number}. Remove one, or "
                "give each its own 'subject'."
            )
            continue
        seen[subject] = number
        entry = Entry(subject=subject, patient=str(item.get("patient") or patient_of(subject)), image={})
        entry["grade"] = item.get("grade")
        entry["fold"] = item.get("fold")
        try:
            images = _image_paths(item.get("image"), order, f"{where} (subject {subject})")
        except DataError as error:
            found.problems.extend(error.problems)
            images = {}
        for modality, (image, channel) in images.items():
            entry["image"][modality] = str(path.parent / image)
            if channel is not None:
                entry.setdefault("channels", {})[modality] = channel
        entry["label"] = str(path.parent / item["label"])
        found.entries.append(entry)
    return found
