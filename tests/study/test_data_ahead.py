"""Data that a student is refused for, before hours went into its teacher."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kd_monai.data import DataError
from kd_monai.study import roles
from kd_monai.study.grid import read_grid
from kd_monai.study.grid_data import read_data
from kd_monai.study.variables import read_variables


@pytest.fixture
def line(phantom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A command's data; what trains fails."""

    def train(*_: Any) -> None:
        raise AssertionError("something was trained")

    monkeypatch.setattr(roles, "train", train)
    return ["--data", str(phantom), "--out", str(tmp_path)]


def test_unlabelled_patients_of_the_fold_are_refused(phantom: Path, line: list[str]) -> None:
    wrong = [*line, "--unlabelled", str(phantom)]
    with pytest.raises(DataError, match=r"Move it out of UNLABELLED"):
        roles.train_student(read_variables(None, wrong))
    with pytest.raises(DataError, match=r"Move it out of UNLABELLED"):
        read_data(read_grid(None, wrong))


def test_a_training_part_that_does_not_fill_the_inner_folds_is_refused(line: list[str]) -> None:
    wrong = [*line, "--teachers", "crossfit", "--n-subjects", "2"]
    with pytest.raises(DataError, match=r"inner_folds"):
        roles.train_student(read_variables(None, wrong))
    with pytest.raises(DataError, match=r"inner_folds"):
        read_data(read_grid(None, [*wrong, "--teacher-n-subjects", "same"]))
    # those of all subjects do, and teach the few
    assert read_data(read_grid(None, [*wrong, "--fold", "0"]))[1] == (0,)


def test_what_is_right_is_left_alone(line: list[str]) -> None:
    rest = [*line, "--n-subjects", "3", "--unlabelled", "rest", "--teachers", "crossfit"]
    with pytest.raises(AssertionError, match="something was trained"):
        roles.train_student(read_variables(None, rest))
    several = [*line, "--n-subjects", "3,all", "--unlabelled", "rest", "--teacher-n-subjects", "same", "--fold", "0"]
    assert read_data(read_grid(None, several))[1] == (0,)


def test_a_named_teacher_of_more_subjects_may_have_inner_ones(line: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roles, "check_ahead", lambda *_: pytest.fail("its own number of subjects is not the student's"))
    with pytest.raises(AssertionError, match="something was trained"):
        roles.train_student(read_variables(None, [*line, "--teacher", "a,b"]))
