"""What a student's data would be refused for, found before its teacher is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from monai.bundle import ConfigParser

from kd_monai.config.config_files import ConfigFiles
from kd_monai.config.methods import inner_folds_of
from kd_monai.config.settings import has_place
from kd_monai.data import Datalist
from kd_monai.training.launch import own_errors


def parser_of(files: Sequence[Path], overrides: Mapping[str, Any]) -> ConfigParser:
    """The configuration of a run that is not begun.

    Args:
        files: ``train.yaml`` and the overlays of the run.
        overrides: configuration id -> value; those that the files have no place for are passed over.
    """
    parser = ConfigParser(ConfigFiles.load_config_files([str(file) for file in files]))
    for target, value in overrides.items():
        if has_place(target, parser):
            parser[target] = value
    return parser


def read_datalist(files: Sequence[Path], overrides: Mapping[str, Any], **more: Any) -> Datalist:
    """The subjects of a run, as the run itself would read them.

    Args:
        files, overrides: as of `parser_of`.
        more: configuration id -> value, last.

    Raises:
        UserError: as `Datalist.load` does.
    """
    parser = parser_of(files, overrides)
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
    def by(cls, files: Sequence[Path], overrides: Mapping[str, Any]) -> Self:
        """What a student of these files and overrides asks for.

        Raises:
            ValueError: unlabelled subjects for a method that learns nothing of them.
        """
        config = {**ConfigFiles.load_config_files([str(file) for file in files]), **overrides}
        if config["unlabelled"] is not None and not config["terms"] and config["method"] != "baseline":
            raise ValueError(
                f"Unlabelled subjects (UNLABELLED) teach a student through a method's terms; {config['method']} has "
                "none. Leave UNLABELLED or this METHOD out."
            )
        return cls(config["unlabelled"], inner_folds_of(config), tuple(files))


def check_unlabelled(asked: Asked, overrides: Mapping[str, Any], modalities: Sequence[str]) -> None:
    """Read the subjects without references that a student asks for.

    Raises:
        UserError: one is refused.
    """
    if asked.unlabelled is not None:
        read_datalist(asked.files, overrides, sample_modalities=list(modalities))


def check_inner_folds(
    folds: int, teacher: Sequence[Path], overrides: Mapping[str, Any], modalities: Sequence[str]
) -> None:
    """Read the data of the teachers that a cross-fitted student has beside that of all training subjects.

    Args:
        folds: inner folds; 0 for none.
        teacher: ``train.yaml`` and the overlays of the teacher of all.
        overrides: configuration id -> value, of that teacher.
        modalities: what is read.

    Raises:
        UserError: the training part does not fill the inner folds.
    """
    for fold in range(folds):
        read_datalist(teacher, overrides, modalities=list(modalities), inner_fold=f"{fold}/{folds}")
