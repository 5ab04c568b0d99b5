"""What a student's data would be refused for, found before its teacher is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from kd_monai.data import Datalist
from kd_monai.study.launch import own_errors
from kd_monai.study.methods import inner_folds


def read_datalist(files: Sequence[Path], overrides: Mapping[str, Any], **more: Any) -> Datalist:
    """The subjects of a run, as the run itself would read them.

    Args:
        files: ``train.yaml`` and the overlays of the run.
        overrides: configuration id -> value; those that the files have no place for are passed over.
        more: configuration id -> value, last.

    Raises:
        DataError: as `Datalist.load` does.
    """
    parser = ConfigParser(ConfigParser.load_config_files([str(file) for file in files]))
    for target, value in overrides.items():
        if target.split("#")[0] in parser:
            parser[target] = value
    parser.update(more)
    with own_errors():
        datalist: Datalist = parser.get_parsed_content("datalist")
    return datalist


def check_ahead(
    student: Sequence[Path],
    teacher: Sequence[Path],
    overrides: Mapping[str, Any],
    modalities: Sequence[str],
    of_student: Mapping[str, Any] | None = None,
    of_teacher: Mapping[str, Any] | None = None,
) -> None:
    """Read the data of a student that has unlabelled subjects, and of the inner teachers of a cross-fitted one.

    The teacher of all training subjects is trained before them and looks at neither.

    Args:
        student, teacher: ``train.yaml`` and the overlays of each.
        overrides: configuration id -> value, of both.
        modalities: what either network reads.
        of_student, of_teacher: configuration id -> value, over them: a study's fold and number of subjects.

    Raises:
        DataError: an unlabelled subject is refused, or the training part does not fill the inner folds.
    """
    wanted = {**overrides, **(of_student or {})}
    config = {**ConfigParser.load_config_files([str(file) for file in student]), **wanted}
    if config.get("unlabelled") is not None:
        read_datalist(student, wanted, sample_modalities=list(modalities))
    folds = inner_folds(student, overrides)
    for fold in range(folds):
        own = {**overrides, **(of_teacher or {})}
        read_datalist(teacher, own, modalities=list(modalities), inner_fold=f"{fold}/{folds}")
