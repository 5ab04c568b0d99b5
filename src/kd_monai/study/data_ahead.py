"""What a student's data would be refused for, found before its teacher is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from monai.bundle import ConfigParser

from kd_monai.data import Datalist
from kd_monai.study.launch import own_errors
from kd_monai.study.methods import inner_folds_of


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


@dataclass(frozen=True)
class Asked:
    """What a student's data must be looked at for; equal for most methods of a study.

    Attributes:
        unlabelled: as in ``train.yaml``.
        inner_folds: of its cross-fitted teachers; 0 where they are not.
        files: ``train.yaml`` and its overlays.
    """

    unlabelled: str | None
    inner_folds: int
    files: tuple[Path, ...] = field(compare=False)

    @classmethod
    def by(cls, student: Sequence[Path], overrides: Mapping[str, Any]) -> Self:
        """What a student of these files and overrides asks for."""
        config = {**ConfigParser.load_config_files([str(file) for file in student]), **overrides}
        return cls(config["unlabelled"], inner_folds_of(config), tuple(student))


def check_ahead(
    asked: Asked,
    teacher: Sequence[Path],
    overrides: Mapping[str, Any],
    modalities: Sequence[str],
    of_student: Mapping[str, Any] | None = None,
    of_teacher: Mapping[str, Any] | None = None,
) -> None:
    """Read the data of a student that has unlabelled subjects, and of the inner teachers of a cross-fitted one.

    The teacher of all training subjects is trained before them and looks at neither.

    Args:
        asked: by the student.
        teacher: ``train.yaml`` and the overlays of its teacher.
        overrides: configuration id -> value, of both.
        modalities: what either network reads.
        of_student, of_teacher: configuration id -> value, over them: a study's fold and number of subjects.

    Raises:
        DataError: an unlabelled subject is refused, or the training part does not fill the inner folds.
    """
    names = list(modalities)
    if asked.unlabelled is not None:
        read_datalist(asked.files, {**overrides, **(of_student or {})}, sample_modalities=names)
    for fold in range(asked.inner_folds):
        own = {**overrides, **(of_teacher or {})}
        read_datalist(teacher, own, modalities=names, inner_fold=f"{fold}/{asked.inner_folds}")
