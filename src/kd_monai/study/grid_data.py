"""The data of a study, checked before anything is trained."""

from __future__ import annotations

from monai.bundle import ConfigParser

from kd_monai.data import Datalist
from kd_monai.study.grid import Grid
from kd_monai.study.launch import TEACHER, own_errors
from kd_monai.study.roles import configuration_files
from kd_monai.study.variables import overrides_of


def read_data(grid: Grid) -> tuple[Datalist, tuple[int, ...]]:
    """Data and split of a study, and its test folds.

    All folds are read, with the files of every modality that a network of the grid reads and with its largest number
    of training subjects: a fault shows now, and not after a day.

    Raises:
        DataError: the data have a fault, there is no such fold, or it has fewer training subjects than N_SUBJECTS.
    """
    read = {name for text in (*grid.modalities, grid.given.teacher_modalities) for name in text.split("-")}
    largest = max((number for number in grid.n_subjects if number is not None), default=None)
    first = _load(grid, sorted(read), (grid.folds or (0,))[0], largest)
    folds = grid.folds or tuple(range(len(first.split["folds"])))
    for fold in folds[1:]:
        _load(grid, sorted(read), fold, largest)
    return first, folds


def _load(grid: Grid, modalities: list[str], fold: int, n_subjects: int | None) -> Datalist:
    """As a cell would, by the same configuration."""
    files = [str(file) for file in configuration_files(TEACHER, grid.given)]
    parser = ConfigParser(ConfigParser.load_config_files(files))
    for target, value in overrides_of(grid.given).items():
        if target.split("#")[0] in parser:
            parser[target] = value
    parser.update({"modalities": modalities, "fold": fold, "n_subjects": n_subjects})
    with own_errors():
        datalist: Datalist = parser.get_parsed_content("datalist")
    return datalist
