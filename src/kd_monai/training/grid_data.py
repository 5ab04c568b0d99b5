"""The data and networks of a study, checked before anything is trained."""

from __future__ import annotations

from itertools import product

from kd_monai.config.overlays import STUDENT, TEACHER
from kd_monai.config.variables import overrides_of, settings_of
from kd_monai.data import REST, Datalist
from kd_monai.grid.grid import Grid
from kd_monai.training.data_ahead import Asked, check_inner_folds, check_unlabelled, read_datalist
from kd_monai.training.networks_ahead import check_networks
from kd_monai.training.roles import configuration_files, networks_of


def read_data(grid: Grid) -> tuple[Datalist, tuple[int, ...]]:
    """Data and split of a study, and its test folds.

    All folds are read, with the files of every modality that a network of the grid reads, with its largest number of
    training subjects, and with the unlabelled subjects and inner folds of its methods: a fault shows now, and not after
    a day.

    Raises:
        UserError: the data have a fault, there is no such fold, it has fewer training subjects than N_SUBJECTS, they do
            not fill the inner folds, or an unlabelled subject is refused.
        ValueError: unlabelled subjects are asked for, and a method learns nothing of them.
    """
    modalities = sorted(
        {name for text in (*grid.modalities, grid.given.teacher_modalities) for name in text.split("-")}
    )
    largest = max((number for number in grid.n_subjects if number is not None), default=None)
    teacher, overrides = configuration_files(TEACHER, grid.given), overrides_of(grid.given)
    of_teacher = overrides | settings_of(grid.given.teacher_set)
    students = _students(grid)
    asked = {Asked.by(configuration_files(STUDENT, grid.given, name), overrides) for name in students}

    def read(fold: int) -> Datalist:
        return read_datalist(teacher, overrides, modalities=modalities, fold=fold, n_subjects=largest)

    first = read((grid.folds or (0,))[0])
    folds = grid.folds or tuple(range(len(first.split["folds"])))
    for fold in folds[1:]:
        read(fold)
    for one, number, fold in product(asked, grid.n_subjects, folds):
        if one.unlabelled != REST or number is not None:  # the rest of everybody is nobody
            check_unlabelled(one, {**overrides, "fold": fold, "n_subjects": number}, modalities)
    numbers = grid.n_subjects if grid.teachers_share else (None,)
    for inner, number, fold in product({one.inner_folds for one in asked}, numbers, folds):
        check_inner_folds(inner, teacher, {"fold": fold, "n_subjects": number, **of_teacher}, modalities)
    return first, folds


def check_grid(grid: Grid) -> None:
    """Whether the teacher can teach each method's student: once for each number of modalities that students read.

    Raises:
        ValueError: it cannot; see `check_networks`.
    """
    known = set(grid.given.teacher_modalities.split("-"))
    alike = {(text.count("-"), {*text.split("-")} <= known): text for text in grid.modalities}
    for name, text in product(_students(grid), alike.values()):
        check_networks(*networks_of(grid.given, name, text))


def _students(grid: Grid) -> list[str]:
    """Methods of a study that have a teacher, as METHOD takes them."""
    return [name.replace("+", ",") for name in grid.methods if name != "baseline"]
