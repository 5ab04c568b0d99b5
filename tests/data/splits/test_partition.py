"""Inner folds: what a cross-fitted teacher leaves out of the training part."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from small_cases import NAMES_2023, write_brats, write_case

from kd_monai.data import Datalist
from kd_monai.data.entries import Entry
from kd_monai.errors import UserError


def names(entries: list[Entry]) -> set[str]:
    return {entry["subject"] for entry in entries}


@pytest.fixture(scope="module")
def brats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """18 subjects: 12 HGG, 6 LGG."""
    return write_brats(tmp_path_factory.mktemp("brats"), 18, lgg=6, without_et=0)


@pytest.mark.parametrize("n_subjects", [None, 6])
@pytest.mark.parametrize("fold", [0, 2, "all"])
def test_every_training_subject_is_left_out_once_and_nobody_else_ever_is(
    brats: Path, fold: int | str, n_subjects: int | None
) -> None:
    whole = Datalist.load(brats, fold=fold, n_subjects=n_subjects)
    inner = [Datalist.load(brats, fold=fold, n_subjects=n_subjects, inner_fold=f"{k}/3") for k in range(3)]
    out = Counter(name for part in inner for name in names(whole.train) - names(part.train))
    assert out == Counter(names(whole.train))
    for part in inner:
        assert (part.test, part.split) == (whole.test, whole.split)
        left_out = names(whole.train) - names(part.train)
        assert names(part.val) == names(whole.val) - left_out  # with FOLD=all validation is on training subjects
        assert names(part.train) < names(whole.train)


def test_inner_folds_balance_the_grades(brats: Path) -> None:
    whole = Datalist.load(brats, n_subjects=9)
    grades = Counter(entry["grade"] for entry in whole.train)
    for k in range(3):
        left = Counter(entry["grade"] for entry in Datalist.load(brats, n_subjects=9, inner_fold=f"{k}/3").train)
        for grade, count in grades.items():
            assert abs((count - left[grade]) - count / 3) < 1


def test_inner_folds_follow_from_the_seed_of_the_split(brats: Path) -> None:
    parts = [[Datalist.load(brats, seed=s, inner_fold=f"{k}/2").train for k in range(2)] for s in (0, 0, 1)]
    assert parts[0] == parts[1] != parts[2]


def test_time_points_of_a_patient_are_left_out_together(tmp_path: Path) -> None:
    for patient in range(6):
        for time in range(2):
            write_case(tmp_path, f"BraTS-GLI-{patient:05}-{time:03}", (1, 2, 3), NAMES_2023)
    for k in range(2):
        kept = Datalist.load(tmp_path, folds=2, inner_fold=f"{k}/2").train
        assert set(Counter(entry["patient"] for entry in kept).values()) == {2}


@pytest.mark.parametrize("wrong", ["3/3", "1", "a/b", "0/3/1", "-1/3", 1])
def test_what_is_no_inner_fold_is_refused(brats: Path, wrong: object) -> None:
    with pytest.raises(UserError, match=r"inner_fold must be <fold>/<number of inner folds>.*Correct it"):
        Datalist.load(brats, inner_fold=wrong)  # type: ignore[arg-type]


def test_fewer_training_patients_than_inner_folds_are_refused(brats: Path) -> None:
    with pytest.raises(UserError, match=r"inner_folds must be from 2 to the number of training patients, 2: got 3"):
        Datalist.load(brats, n_subjects=2, inner_fold="0/3")
