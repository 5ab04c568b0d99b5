"""Data that a student is refused for, before hours went into its teacher."""

from __future__ import annotations

from pathlib import Path

import pytest
from kd_monai.grid.grid import read_grid
from kd_monai.training.grid_data import read_data

from kd_monai.config.variables import read_variables
from kd_monai.errors import UserError
from kd_monai.training import roles


def test_unlabelled_patients_of_the_fold_are_refused(phantom: Path, line: list[str]) -> None:
    wrong = [*line, "--unlabelled", str(phantom)]
    with pytest.raises(UserError, match=r"Move it out of UNLABELLED"):
        roles.train_student(read_variables(None, wrong))
    with pytest.raises(UserError, match=r"Move it out of UNLABELLED"):
        read_data(read_grid(None, wrong))


def test_a_training_part_that_does_not_fill_the_inner_folds_is_refused(line: list[str]) -> None:
    wrong = [*line, "--teachers", "crossfit", "--n-subjects", "2"]
    with pytest.raises(UserError, match=r"inner_folds"):
        roles.train_student(read_variables(None, wrong))
    with pytest.raises(UserError, match=r"inner_folds"):
        read_data(read_grid(None, [*wrong, "--teacher-n-subjects", "same"]))
    # those of all subjects do, and teach the few
    assert read_data(read_grid(None, [*wrong, "--fold", "0"]))[1] == (0,)


def test_what_is_right_is_left_alone(line: list[str]) -> None:
    rest = [*line, "--n-subjects", "3", "--unlabelled", "rest", "--teachers", "crossfit"]
    with pytest.raises(AssertionError, match="something was trained"):
        roles.train_student(read_variables(None, rest))
    several = [*line, "--n-subjects", "3,all", "--unlabelled", "rest", "--teacher-n-subjects", "same", "--fold", "0"]
    assert read_data(read_grid(None, several))[1] == (0,)


def test_a_named_teacher_of_more_subjects_may_have_inner_ones(line: list[str], phantom: Path) -> None:
    named = [*line, "--teacher", "mine", "--teachers", "crossfit", "--n-subjects", "2"]
    with pytest.raises(ValueError, match=r"mine has no run\.json"):  # it came to reading that teacher
        roles.train_student(read_variables(None, named))
    with pytest.raises(UserError, match="Move it out of UNLABELLED"):
        roles.train_student(read_variables(None, [*named, "--unlabelled", str(phantom)]))


def test_settings_of_the_teacher_alone_count_for_its_inner_folds(line: list[str]) -> None:
    few = [*line, "--teachers", "crossfit", "--n-subjects", "2", "--teacher-set", "n_subjects=null"]
    for train in (roles.train_student, roles.train_teachers):
        with pytest.raises(AssertionError, match="something was trained"):
            train(read_variables(None, few))
        with pytest.raises(UserError, match="inner_folds"):
            train(read_variables(None, few[:-2]))


def test_a_setting_of_another_methods_term_is_passed_over(line: list[str], tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    several = ["--set", "terms#latent_kl#weight=5", "--fold", "0"]
    assert read_data(read_grid(None, [*line, *several, "--methods", "finetune,hinton,kdnet"]))[1] == (0,)
    with pytest.raises(UserError, match="UNLABELLED"):  # and not of the setting
        read_data(read_grid(None, [*line, *several, "--methods", "hinton,kdnet", "--unlabelled", str(empty)]))


def test_a_method_that_learns_nothing_of_unlabelled_subjects_is_refused(line: list[str], phantom: Path) -> None:
    wrong = ["--n-subjects", "3", "--unlabelled", "rest"]
    with pytest.raises(ValueError, match=r"through a method's terms; finetune has none"):
        roles.train_student(read_variables(None, [*line, *wrong, "--method", "finetune"]))
    with pytest.raises(ValueError, match=r"through a method's terms; finetune has none"):
        read_data(read_grid(None, [*line, *wrong, "--methods", "baseline,hinton,finetune"]))


def test_a_methods_file_may_ask_for_cross_fitted_teachers_and_a_baseline_for_nothing(
    line: list[str], tmp_path: Path, phantom: Path
) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("method: mine\nteachers: crossfit\nunlabelled: rest\n")
    with pytest.raises(UserError, match="inner_folds"):
        roles.train_student(read_variables(None, [*line, "--method", str(mine), "--n-subjects", "2"]))
    with pytest.raises(AssertionError, match="something was trained"):
        roles.train_student(read_variables(None, [*line, "--method", str(mine), "--n-subjects", "3"]))
    alone = [*line, "--methods", "baseline", "--fold", "0", "--unlabelled", str(phantom)]
    assert read_data(read_grid(None, alone))[1] == (0,)


def test_what_is_misspelt_is_refused_before_data_are_read(line: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roles, "check_inner_folds", lambda *_: pytest.fail("data were read"))
    for wrong in (["--set", "learning_rat=1"], ["--teacher-set", "widht=1"], ["--method", "standardized"]):
        with pytest.raises(ValueError, match=r"learning_rat|widht|SET=head=labels"):
            roles.train_student(read_variables(None, [*line, "--teachers", "crossfit", *wrong]))


@pytest.mark.parametrize("wrong", ["1", "abc", "2.5"])
def test_a_number_of_inner_folds_that_is_none_is_refused(wrong: str, line: list[str]) -> None:
    with pytest.raises(ValueError, match="`inner_folds` must be a whole number, at least 2"):
        roles.train_student(read_variables(None, [*line, "--teachers", "crossfit", "--set", f"inner_folds={wrong}"]))
