"""What a study is asked for, and the cells that follow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from kd_monai.grid.cells import Cell, plan
from kd_monai.grid.grid import Grid, read_grid
from kd_monai.training.grid_data import read_data
from small_run import datalist
from tiny import command

from kd_monai.config.variables import overrides_of, read_variables
from kd_monai.errors import UserError


def grid(*arguments: str) -> Grid:
    return read_grid(None, ["--data", "/data", *arguments])


def cells(*arguments: str, digest: str = "d" * 64, folds: tuple[int, ...] = (0, 1)) -> list[Cell]:
    return plan(grid(*arguments), datalist(digest), folds)


def test_a_study_without_variables_is_the_baseline_and_kdnet_on_four_modalities_from_one_cache_on_disk() -> None:
    asked = grid()
    assert (asked.methods, asked.modalities) == (("baseline", "kdnet"), ("t1", "t1ce", "t2", "flair"))
    assert (asked.seeds, asked.folds, asked.n_subjects, asked.jobs, asked.scheduler) == ((0,), (), (None,), 1, "local")
    assert (asked.given.cache, asked.given.out) == ("disk", "runs")


def test_an_empty_value_counts_as_not_given() -> None:
    names = ("modalities", "methods", "seeds", "fold", "n-subjects", "teacher-n-subjects", "jobs", "scheduler", "slurm")
    assert grid(*(part for name in names for part in (f"--{name}", ""))) == grid()


def test_lists_are_read_and_modalities_put_in_order() -> None:
    asked = grid(
        "--modalities",
        "FLAIR-t1, t1ce",
        "--seeds",
        "0,7",
        "--fold",
        "2,0",
        "--n-subjects",
        "4,8,all",
        "--cache",
        "memory",
    )
    assert asked.modalities == ("t1-flair", "t1ce")
    assert (asked.seeds, asked.folds, asked.n_subjects) == ((0, 7), (2, 0), (4, 8, None))
    assert asked.given.cache == "memory"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--seed", "1"], r"sets SEED for each.*Give SEEDS"),
        (["--method=kdnet"], r"sets METHOD .*Give METHODS"),
        (["--modality", "t1"], r"sets MODALITY .*Give MODALITIES"),
        (["--teacher", "runs/t"], r"sets TEACHER .*trains its teachers"),
        (["--force", "1"], r"sets FORCE .*single run"),
        (["--seeds", "0,0"], r"SEEDS names each value once; got 0, 0"),
        (["--modalities", "t1-t2,t2-t1"], r"MODALITIES names each value once"),
        (["--seeds", "0,,1"], r"SEEDS lists values joined by ','; got '0,,1'"),
        (["--seeds", "-1"], r"SEEDS takes whole numbers, at least 0; got '-1'"),
        (["--n-subjects", "0"], r"N_SUBJECTS takes whole numbers, at least 1; got '0'"),
        (["--fold", "all"], r"FOLD takes whole numbers.*got 'all'"),
        (["--jobs", "0"], r"JOBS takes whole numbers, at least 1"),
        (["--scheduler", "pbs"], r"SCHEDULER must be one of local, submitit, slurm; got 'pbs'"),
        (["--teacher-n-subjects", "4"], r"TEACHER_N_SUBJECTS must be one of all, same; got '4'"),
        (["--slurm", "gpu"], r"SLURM takes name=value.*got 'gpu'"),
        (["--modalities", "t1,t3"], r"'t3'.*unknown"),
    ],
)
def test_what_a_study_does_not_take_is_refused_with_what_to_write(arguments: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        grid(*arguments)


def test_an_unknown_option_ends_with_status_2() -> None:
    with pytest.raises(SystemExit) as stop:
        grid("--modalitie", "t1")
    assert stop.value.code == 2


def test_teachers_come_first_and_each_student_has_that_of_its_fold_and_seed() -> None:
    found = cells("--modalities", "t1ce", "--seeds", "0,1")
    assert [cell.name for cell in found[: len(found) // 2]] == [
        "teacher-fold0-seed0", "teacher-fold1-seed0", "baseline_t1ce-fold0-seed0", "kdnet_t1ce-fold0-seed0",
        "baseline_t1ce-fold1-seed0", "kdnet_t1ce-fold1-seed0",
    ]  # fmt: skip
    taught_by = {cell.name: cell.teacher for cell in found if cell.pipeline == "student"}
    assert taught_by == {
        f"kdnet_t1ce-fold{fold}-seed{seed}": f"teacher-fold{fold}-seed{seed}" for fold in (0, 1) for seed in (0, 1)
    }


def test_baselines_alone_need_no_teacher() -> None:
    assert {cell.pipeline for cell in cells("--methods", "baseline")} == {"baseline"}


@pytest.mark.parametrize(
    ("share", "teachers"),
    [("all", {"": 2}), ("same", {"-n4": 2, "": 2})],
)
def test_few_subjects_are_the_students_and_on_demand_the_teachers_too(share: str, teachers: dict[str, int]) -> None:
    found = cells("--modalities", "t1", "--n-subjects", "4,all", "--teacher-n-subjects", share)
    names = [cell.name for cell in found if cell.pipeline == "teacher"]
    assert {
        end: sum(name == f"teacher-fold{k}-seed0{end}" for k in (0, 1) for name in names) for end in teachers
    } == teachers
    assert len(names) == sum(teachers.values())
    (few,) = [cell for cell in found if cell.name == "kdnet_t1-fold1-seed0-n4"]
    assert few.teacher == ("teacher-fold1-seed0-n4" if share == "same" else "teacher-fold1-seed0")
    assert few.variables["n_subjects"] == "4"


def test_what_teachers_know_more_is_given_to_the_cells_that_take_it() -> None:
    """UNLABELLED=rest has no meaning where all references are read, and would be refused there."""
    asked = ("--teachers", "crossfit", "--init", "teacher", "--unlabelled", "rest", "--n-subjects", "2,all")
    given = {}
    for cell in cells("--modalities", "t1", *asked, "--teacher-n-subjects", "same", folds=(0,)):
        options = ("teachers", "init", "unlabelled", "inner_folds")
        told = overrides_of(read_variables(None, cell.arguments(Path("note"), "runs/teacher")))
        given[cell.name] = {name: told[name] for name in options if told.get(name) is not None}
    assert given == {
        "teacher-fold0-seed0-n2": {"teachers": "crossfit", "inner_folds": 3},
        "teacher-fold0-seed0": {"teachers": "crossfit", "inner_folds": 3},
        "baseline_t1-fold0-seed0-n2": {},
        "baseline_t1-fold0-seed0": {},
        "kdnet_t1-fold0-seed0-n2": {"teachers": "crossfit", "init": "teacher", "unlabelled": "rest"},
        "kdnet_t1-fold0-seed0": {"teachers": "crossfit", "init": "teacher"},
    }
    with pytest.raises(ValueError, match="N_SUBJECTS is not given"):
        grid("--unlabelled", "rest")


def asking(folder: Path, name: str, **options: Any) -> str:
    """A method that asks for what its teachers know."""
    (folder / f"{name}.yaml").write_text(yaml.safe_dump({"method": name, **options}))
    return str(folder / f"{name}.yaml")


def told_to_teachers(*arguments: str) -> set[tuple[str, ...]]:
    found = cells("--modalities", "t1", "--n-subjects", "4,all", *arguments)
    return {cell.settings for cell in found if cell.pipeline == "teacher"}


def test_the_cells_of_teachers_train_the_inner_ones_that_any_method_asks_for(tmp_path: Path) -> None:
    five = ["--set", "inner_folds=5"]
    assert told_to_teachers("--teachers", "crossfit", *five) == {("teachers=crossfit", "inner_folds=5")}
    own = asking(tmp_path, "own", teachers="crossfit", inner_folds=4)
    assert told_to_teachers("--methods", f"baseline,kdnet,{own}") == {("teachers=crossfit", "inner_folds=4")}
    other = asking(tmp_path, "other", teachers="crossfit")
    with pytest.raises(ValueError, match=r"got {'own': 4, 'other': 3}\. Give all the same one: SET=inner_folds=3"):
        told_to_teachers("--methods", f"{own},{other}")
    assert told_to_teachers("--methods", f"{own},{other}", *five) == {("teachers=crossfit", "inner_folds=5")}
    assert told_to_teachers("--methods", "kdnet,hinton", *five) == {()}


def test_a_method_that_asks_for_the_rest_gets_it_where_a_subset_leaves_one(tmp_path: Path) -> None:
    line = ("--methods", asking(tmp_path, "mine", unlabelled="rest"), "--modalities", "t1")
    found = cells(*line, "--n-subjects", "4,all", "--teacher-n-subjects", "same", folds=(0,))
    assert {cell.name: cell.settings for cell in found if cell.pipeline == "student"} == {
        "mine_t1-fold0-seed0-n4": (), "mine_t1-fold0-seed0": ("unlabelled=null",),
    }  # fmt: skip
    with pytest.raises(ValueError, match=r"mine asks for them without N_SUBJECTS\. Give it"):
        cells(*line)


@pytest.mark.parametrize("asked", [(), ("--teachers", "crossfit", "--init", "teacher")])
def test_no_teacher_of_all_subjects_is_planned_where_references_are_withheld(asked: tuple[str, ...]) -> None:
    line = ("--unlabelled", "rest", "--n-subjects", "7,all", *asked)
    with pytest.raises(ValueError, match=r"no teacher may have seen the references.*Set TEACHER_N_SUBJECTS=same"):
        cells(*line)
    assert cells(*line, "--teacher-n-subjects", "same")
    assert cells(*line, "--methods", "baseline")


def test_a_cells_command_is_one_that_its_pipeline_takes(tmp_path: Path) -> None:
    found = cells("--modalities", "t1", "--epochs", "3", "--set", "width=4", "--set", "segmentation_weight=0.5")
    commands = {cell.kind: read_variables(None, cell.arguments(tmp_path / "note", "runs/teacher")) for cell in found}
    student = commands["kdnet"]
    assert (student.method, student.modality, student.teacher, student.note) == (
        "kdnet", "t1", "runs/teacher", str(tmp_path / "note"),
    )  # fmt: skip
    assert overrides_of(student) == {
        "dataset_dir": "/data", "output_dir": "runs", "cache": "disk", "epochs": 3, "fold": 1, "seed": 0, "width": 4,
        "segmentation_weight": 0.5,
    }  # fmt: skip
    assert commands["teacher"].teacher is None
    # the loss's weights are no setting of a teacher or baseline
    assert [overrides_of(commands[kind]).get("segmentation_weight") for kind in ("teacher", "baseline")] == [None, None]


def test_stacked_methods_are_one_method(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("method: mine\nlearning_rate: 0.1\n")
    *_, cell = cells("--methods", f"kdnet+{tmp_path}/mine.yaml", "--modalities", "t1")
    assert cell.kind == "kdnet-mine"
    assert cell.variables["method"] == f"kdnet,{tmp_path}/mine.yaml"


def test_two_methods_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "kdnet.yaml").write_text("method: kdnet\n")
    with pytest.raises(ValueError, match="two are called kdnet"):
        cells("--methods", f"kdnet,{tmp_path}/kdnet.yaml")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--methods", "kd-net"], "METHOD must be one of .*'kd-net'"),
        (["--recipe", "fast"], "RECIPE must be one of .*'fast'"),
        (["--set", "learning_rat=1"], "'learning_rat' is in none of"),
        (["--methods", "baseline,standardized"], "reads the head 'labels'.*SET=head=labels"),
    ],
)
def test_what_no_cell_could_train_is_refused_before_any_does(arguments: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        cells(*arguments)


def signatures(*arguments: str, digest: str = "d" * 64) -> dict[str, str]:
    return {cell.name: cell.signature for cell in cells("--modalities", "t1", *arguments, digest=digest)}


@pytest.mark.parametrize(
    ("arguments", "changed"),
    [
        (["--out", "elsewhere", "--jobs", "4"], set()),
        (["--cache", "memory"], set()),
        (["--set", "terms#latent_kl#weight=1"], {"student"}),
        (["--epochs", "3"], {"teacher", "baseline", "student"}),
        (["--teacher-modalities", "t1-t2"], {"teacher", "student"}),
    ],
)
def test_a_signature_changes_with_what_a_cell_learns_and_not_with_where(
    arguments: list[str], changed: set[str]
) -> None:
    before, after = signatures(), signatures(*arguments)
    pipelines = {cell.name: cell.pipeline for cell in cells("--modalities", "t1")}
    assert {pipelines[name] for name in before if before[name] != after[name]} == changed
    assert len(set(before.values())) == len(before)


def test_other_data_change_every_signature() -> None:
    before, after = signatures(), signatures(digest="e" * 64)
    assert all(before[name] != after[name] for name in before)


def test_the_data_are_checked_with_every_modality_of_the_grid_and_give_the_folds(phantom: Path, tmp_path: Path) -> None:
    line = ["--data", str(phantom), "--out", str(tmp_path), "--teacher-modalities", "t1-t2", "--folds", "2"]
    found, folds = read_data(read_grid(None, [*line, "--modalities", "flair"]))
    assert found.modalities == ("t1", "t2", "flair")
    assert folds == (0, 1)
    assert read_data(read_grid(None, [*line, "--fold", "1"]))[1] == (1,)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--n-subjects", "2,40"], "N_SUBJECTS must be from 1 to 4.*got 40"),
        (["--fold", "0,7"], "FOLD must be one of 0, 1, 2, all: got 7"),
    ],
)
def test_what_a_fold_cannot_give_is_refused_before_anything_is_trained(
    phantom: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        read_data(read_grid(None, ["--data", str(phantom), "--out", str(tmp_path), *arguments]))


def test_a_folder_without_data_is_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command('study', [f"DATA={tmp_path / 'typo'}", f'OUT={tmp_path}']) == 2
    said = capsys.readouterr().err
    assert "typo" in said
    assert "Traceback" not in said
