"""Which files are inputs, what is written for each, and what is refused before the first is read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

IMAGE = re.compile(r"[.](nii|nii[.]gz|nrrd|mha)$", re.IGNORECASE)
ENDINGS = {
    "t1": "_t1|-t1n",
    "t1ce": "_t1ce|-t1c",
    "t2": "_t2|-t2w",
    "flair": "_flair|-t2f",
    "label": "_seg|-seg",
    "probabilities": "_prob",
}
"""How BraTS file names end. A name with none of these endings is taken for the one modality of the bundle."""
POSTFIX = {"label_map": "_seg", "probabilities": "_prob"}
Datalist = list[dict[str, Any]]


def split_name(path: Path) -> tuple[str, str | None]:
    """Case and kind that a file's name gives it: ``a_t1ce.nii.gz`` is the t1ce of a."""
    for kind, ending in ENDINGS.items():
        match = re.search(f"({ending}){IMAGE.pattern}", path.name, re.IGNORECASE)
        if match:
            return path.name[: match.start()], kind
    return path.name, None


def find_inputs(dataset_dir: str, modalities: Sequence[str]) -> Datalist:
    """An image or a folder, searched with its subfolders, as a datalist: an ``image`` for each case.

    A modality that a case lacks is None; `check_inputs` names it.
    """
    root = Path(dataset_dir)
    files = [root] if root.is_file() else sorted(path for path in root.rglob("*") if IMAGE.search(path.name))
    if len(modalities) == 1 or root.is_file():
        return [{"image": str(path)} for path in files if split_name(path)[1] in (None, *modalities)]
    by_name = {(path.parent, *split_name(path)): str(path) for path in files}
    cases = sorted({(folder, name) for folder, name, kind in by_name if kind in modalities})
    return [{"image": [by_name.get((*case, modality)) for modality in modalities]} for case in cases]


def _files(item: dict[str, Any]) -> list[str | None]:
    return list(item["image"]) if isinstance(item["image"], list | tuple) else [item["image"]]


def output_files(datalist: Datalist, output_dir: str, write: str) -> list[Path]:
    """Where each case's result goes: named after its first file.

    Args:
        datalist: the cases.
        output_dir: folder of the results.
        write: a key of `POSTFIX`.

    Raises:
        ValueError: `write` is another word.
    """
    if write not in POSTFIX:
        raise ValueError(f"`write` must be one of {', '.join(POSTFIX)}; got {write!r}. Correct --write.")
    first = [next((file for file in _files(item) if file), "") for item in datalist]
    return [Path(output_dir, IMAGE.sub("", Path(name).name) + POSTFIX[write] + ".nii.gz") for name in first]


def check_inputs(
    datalist: Datalist, targets: Sequence[Path], modalities: Sequence[str], dataset_dir: str, output_dir: str
) -> None:
    """Refuse what cannot be predicted, or would overwrite a file.

    Raises:
        ValueError: no image, a missing modality, different grids in a case, or results that would replace files.
    """
    if not datalist:
        raise ValueError(
            f"`dataset_dir` must be an image of {' + '.join(modalities)}, or a folder of them (.nii, .nii.gz, .nrrd, "
            ".mha; BraTS file names that end in another modality or in _seg are left out): none found in "
            f"{dataset_dir}. Check the path and the modality."
        )
    missing, different = [], []
    for item in datalist:
        files = _files(item)
        present = [file for file in files if file]
        name = split_name(Path(present[0]))[0]
        missing += [f"{modality} of {name}" for modality, file in zip(modalities, files, strict=False) if not file]
        if len(present) > 1 and all(".nii" in file for file in present):
            images = [nib.load(file) for file in present]
            if len({str((image.shape, np.round(image.affine, 3).tolist())) for image in images}) > 1:
                different.append(present[0])
    if missing:
        raise ValueError(
            f"Every subject needs a file of each of {', '.join(modalities)}, named as in BraTS (_t1, _t1ce, _t2, "
            f"_flair): missing in {dataset_dir} {'; '.join(missing[:20])}. Add them, or use the bundle of a student "
            "that reads fewer modalities."
        )
    if different:
        raise ValueError(
            f"A subject's files must share shape and affine: those beside {', '.join(different[:20])} do not. Register "
            "and resample them."
        )
    twice = sorted(path.name for path, count in Counter(targets).items() if count > 1)
    if twice:
        raise ValueError(
            "Inputs of one run need different file names, for each gives its name to an output: "
            f"{', '.join(twice[:20])} would be written twice. Run the folders one by one."
        )
    folders = {Path(file).parent.resolve() for item in datalist for file in _files(item) if file}
    if any(target.exists() and target.parent.resolve() in folders for target in targets):
        raise ValueError(
            f"Files that lie beside the inputs are not overwritten: {output_dir} holds outputs or references of these "
            "names already. Choose another --output_dir."
        )
