"""What a study is asked for, and the jobs that follow."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from small_run import datalist

from kd_monai.config.variables import Command, command_line, read_command
from kd_monai.errors import UserError
from kd_monai.grid import workflow as grid
from kd_monai.grid.files import JobFiles
from kd_monai.grid.jobs import Job, Kinds, make_jobs, read_kinds
from kd_monai.grid.workflow import study_precision, write_study


@cache
def study(*words: str) -> Command:
    return read_command(["study", "DATA=/data", *words])


@cache
def kinds(*words: str) -> Kinds:
    return read_kinds(study(*words))


def jobs(*words: str, digest: str = "d" * 64, folds: tuple[int, ...] = (0, 1), precision: str = "fp32") -> list[Job]:
    return make_jobs(study(*words), kinds(*words), datalist(digest), folds, precision)


def test_a_study_without_variables_is_the_baseline_and_kdnet_on_four_sequences_from_one_cache_on_disk() -> None:
    command = study()
    assert (command["METHODS"], command["MODALITIES"]) == (("baseline", "kdnet"), ("t1", "t1ce", "t2", "flair"))
    assert (command["SEEDS"], command["FOLD"], command["N_SUBJECTS"], command["JOBS"]) == ((0,), None, ("all",), 1)
    assert (command["CACHE"], command["OUT"], command["PROFILE"]) == ("disk", Path("runs").absolute(), None)


def test_an_empty_value_counts_as_not_given() -> None:
    names = ("MODALITIES", "METHODS", "SEEDS", "FOLD", "N_SUBJECTS", "TEACHER_N_SUBJECTS", "JOBS", "PROFILE")
    assert study(*(f"{name}=" for name in names)).values == study().values


def test_lists_are_read_and_sequences_put_in_order() -> None:
    command = study("MODALITIES=FLAIR-t1, t1ce", "SEEDS=0,7", "FOLD=2,0", "N_SUBJECTS=4,8,all", "CACHE=memory")
    assert command["MODALITIES"] == ("t1-flair", "t1ce")
    assert (command["SEEDS"], command["FOLD"], command["N_SUBJECTS"]) == ((0, 7), (2, 0), (4, 8, "all"))
    assert {job.variables["CACHE"] for job in jobs("CACHE=memory", "METHODS=baseline")} == {"memory"}


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("SEED=1", r"SEED"),
        ("METHOD=kdnet", r"METHOD\b"),
        ("MODALITY=t1", r"MODALITY\b"),
        ("TEACHER=runs/t", r"TEACHER\b"),
        ("FORCE=1", r"FORCE"),
        ("NOTE=file", r"NOTE"),
        ("SCHEDULER=slurm", r"SCHEDULER"),
        ("SEEDS=0,0", r"SEEDS"),
        ("MODALITIES=t1-t2,t2-t1", r"MODALITIES"),
        ("SEEDS=-1", r"SEEDS.*at least 0"),
        ("N_SUBJECTS=0", r"N_SUBJECTS.*at least 1"),
        ("FOLD=all", r"FOLD"),
        ("JOBS=0", r"JOBS.*at least 1"),
        ("TEACHER_N_SUBJECTS=4", r"TEACHER_N_SUBJECTS.*'4'"),
        ("MODALITIES=t1,t3", r"t3"),
    ],
)
def test_what_a_study_does_not_take_is_refused(word: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_kinds(study(word))


def test_teachers_come_first_and_each_student_has_that_of_its_fold_and_seed() -> None:
    found = jobs("MODALITIES=t1ce", "SEEDS=0,1")
    assert [job.name for job in found[: len(found) // 2]] == [
        "teacher-fold0-seed0", "teacher-fold1-seed0", "baseline_t1ce-fold0-seed0", "kdnet_t1ce-fold0-seed0",
        "baseline_t1ce-fold1-seed0", "kdnet_t1ce-fold1-seed0",
    ]  # fmt: skip
    taught_by = {job.name: job.teacher.name for job in found if job.teacher}
    assert taught_by == {
        f"kdnet_t1ce-fold{fold}-seed{seed}": f"teacher-fold{fold}-seed{seed}" for fold in (0, 1) for seed in (0, 1)
    }


def test_baselines_alone_need_no_teacher() -> None:
    assert {job.kind.role for job in jobs("METHODS=baseline")} == {"baseline"}


@pytest.mark.parametrize(("share", "teachers"), [("all", {"": 2}), ("same", {"-n4": 2, "": 2})])
def test_few_subjects_are_the_students_and_on_demand_the_teachers_too(share: str, teachers: dict[str, int]) -> None:
    found = jobs("MODALITIES=t1", "N_SUBJECTS=4,all", f"TEACHER_N_SUBJECTS={share}")
    names = [job.name for job in found if job.kind.role == "teacher"]
    assert sorted(names) == sorted(f"teacher-fold{fold}-seed0{end}" for fold in (0, 1) for end in teachers)
    (few,) = [job for job in found if job.name == "kdnet_t1-fold1-seed0-n4"]
    assert few.teacher is not None
    assert few.teacher.name == ("teacher-fold1-seed0-n4" if share == "same" else "teacher-fold1-seed0")
    assert few.variables["N_SUBJECTS"] == "4"
    assert few.plan.config["n_subjects"] == 4


def test_what_teachers_know_more_is_given_to_the_jobs_that_take_it() -> None:
    """UNLABELLED=rest has no meaning where all references are read, and would be refused there."""
    asked = ("TEACHERS=crossfit", "INIT=teacher", "UNLABELLED=rest", "N_SUBJECTS=2,all")
    given = {}
    for job in jobs("MODALITIES=t1", *asked, "TEACHER_N_SUBJECTS=same", folds=(0,)):
        told = read_command(command_line(job.kind.role, job.variables))
        names = {"TEACHERS", "INIT", "UNLABELLED"} & told.typed.keys()
        given[job.name] = {name: str(told[name]) for name in names}
        assert ("inner_folds" in (told["SET"] or {})) == (job.kind.role == "teacher")
    assert given == {
        "teacher-fold0-seed0-n2": {"TEACHERS": "crossfit"},
        "teacher-fold0-seed0": {"TEACHERS": "crossfit"},
        "baseline_t1-fold0-seed0-n2": {},
        "baseline_t1-fold0-seed0": {},
        "kdnet_t1-fold0-seed0-n2": {"TEACHERS": "crossfit", "INIT": "teacher", "UNLABELLED": "rest"},
        "kdnet_t1-fold0-seed0": {"TEACHERS": "crossfit", "INIT": "teacher"},
    }
    with pytest.raises(UserError, match="N_SUBJECTS"):
        jobs("UNLABELLED=rest")


def asking(folder: Path, name: str, **options: Any) -> str:
    """A method that asks for what its teachers know."""
    (folder / f"{name}.yaml").write_text(yaml.safe_dump({"method": name, **options}))
    return str(folder / f"{name}.yaml")


def told_to_teachers(*words: str) -> set[tuple[str, str]]:
    found = jobs("MODALITIES=t1", "N_SUBJECTS=4,all", *words, precision="")
    return {
        (job.variables.get("TEACHERS", ""), job.variables.get("SET", "")) for job in found if job.kind.role == "teacher"
    }


def test_the_jobs_of_teachers_train_the_inner_ones_that_any_method_asks_for(tmp_path: Path) -> None:
    five = "SET=inner_folds=5"
    assert told_to_teachers("TEACHERS=crossfit", five) == {("crossfit", "inner_folds=5")}
    own = asking(tmp_path, "own", teachers="crossfit", inner_folds=4)
    assert told_to_teachers(f"METHODS=baseline,kdnet,{own}") == {("crossfit", "inner_folds=4")}
    other = asking(tmp_path, "other", teachers="crossfit")
    with pytest.raises(UserError, match=r"'own': 4, 'other': 3.*SET=inner_folds=3"):
        told_to_teachers(f"METHODS={own},{other}")
    assert told_to_teachers(f"METHODS={own},{other}", five) == {("crossfit", "inner_folds=5")}
    assert told_to_teachers("METHODS=kdnet,hinton", five) == {("", "")}


def test_a_method_that_asks_for_the_rest_gets_it_where_a_subset_leaves_one(tmp_path: Path) -> None:
    line = (f"METHODS={asking(tmp_path, 'mine', unlabelled='rest')}", "MODALITIES=t1")
    found = jobs(*line, "N_SUBJECTS=4,all", "TEACHER_N_SUBJECTS=same", folds=(0,), precision="")
    assert {job.name: job.variables.get("SET") for job in found if job.teacher} == {
        "mine_t1-fold0-seed0-n4": None, "mine_t1-fold0-seed0": "unlabelled=null",
    }  # fmt: skip
    with pytest.raises(UserError, match=r"mine asks for them without N_SUBJECTS"):
        jobs(*line)


@pytest.mark.parametrize("asked", [(), ("TEACHERS=crossfit", "INIT=teacher")])
def test_no_teacher_of_all_subjects_is_planned_where_references_are_withheld(asked: tuple[str, ...]) -> None:
    line = ("UNLABELLED=rest", "N_SUBJECTS=7,all", *asked)
    with pytest.raises(UserError, match=r"TEACHER_N_SUBJECTS=same"):
        jobs(*line)
    assert jobs(*line, "TEACHER_N_SUBJECTS=same")
    assert jobs(*line, "METHODS=baseline")


def test_a_jobs_command_is_one_that_its_verb_takes(tmp_path: Path) -> None:
    found = jobs("MODALITIES=t1", "EPOCHS=3", "SET=width=4 segmentation_weight=0.5", "TEACHER_NETWORK=unet")
    told = {job.kind.name: read_command(command_line(job.kind.role, job.variables)) for job in found}
    student = told["kdnet"]
    assert (student["METHOD"], student["MODALITY"], student["FOLD"], student["EPOCHS"]) == ("kdnet", "t1", 1, 3)
    assert student["SET"] == {"width": "4", "segmentation_weight": "0.5", "precision": "fp32"}
    assert "TEACHER_NETWORK" not in student.typed  # a trained one is named
    assert told["teacher"]["TEACHER_NETWORK"] == "unet"
    # the loss's weights are no setting of a teacher or baseline
    weights = {job.kind.name: job.plan.config.get("segmentation_weight") for job in found}
    assert weights["kdnet"] == 0.5
    assert weights["baseline"] == 1


def test_settings_keep_their_blanks() -> None:
    (job,) = jobs("METHODS=baseline", "MODALITIES=t1", "SET=roi_size=[96, 96, 96] width=4", folds=(0,))
    told = read_command(command_line("baseline", job.variables))
    assert told["SET"] == {"roi_size": "[96, 96, 96]", "width": "4", "precision": "fp32"}


def test_two_methods_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="kdnet stands twice"):
        jobs(f"METHODS=kdnet,{asking(tmp_path, 'kdnet')}")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["METHODS=kd-net"], "METHOD.*'kd-net'"),
        (["RECIPE=fast"], "RECIPE.*'fast'"),
        (["SET=learning_rat=1"], "learning_rat"),
        (["TEACHER_SET=widht=1"], "widht"),
    ],
)
def test_what_no_job_could_train_is_refused(words: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        jobs(*words)


def signatures(*words: str, digest: str = "d" * 64, precision: str = "fp32") -> dict[str, str]:
    return {job.name: job.signature for job in jobs("MODALITIES=t1", *words, digest=digest, precision=precision)}


@pytest.mark.parametrize(
    ("words", "changed"),
    [
        (["OUT=elsewhere", "JOBS=4", "CACHE=memory"], set()),
        (["SET=terms#latent_kl#weight=1"], {"student"}),
        (["EPOCHS=3"], {"teacher", "baseline", "student"}),
        (["TEACHER_MODALITIES=t1-t2"], {"teacher", "student"}),
        (["TEACHER_SET=learning_rate=0.1"], {"teacher", "student"}),
        (["GPUS=2"], {"teacher", "baseline", "student"}),
    ],
)
def test_a_signature_changes_with_what_a_job_learns_and_not_with_where(words: list[str], changed: set[str]) -> None:
    before, after = signatures(), signatures(*words)
    roles = {job.name: job.kind.role for job in jobs("MODALITIES=t1")}
    assert {roles[name] for name in before if before[name] != after[name]} == changed
    assert len(set(before.values())) == len(before)


def test_other_data_or_another_precision_change_every_signature() -> None:
    before = signatures()
    for after in (signatures(digest="e" * 64), signatures(precision="bf16")):
        assert all(before[name] != after[name] for name in before)


def test_precision_is_resolved_once_a_study_and_told_to_every_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {job.variables["SET"].split("precision=")[1] for job in jobs("MODALITIES=t1", precision="bf16")}
    assert told == {"bf16"}
    auto, fixed = kinds("MODALITIES=t1"), kinds("SET=precision=fp32")
    assert study_precision(auto, tmp_path) in ("bf16", "fp32")
    monkeypatch.setattr(grid, "resolved_precision", lambda device: "fp32")
    (tmp_path / "study.json").write_text('{"precision": "bf16"}')  # of the first launch
    assert study_precision(auto, tmp_path) == "bf16"
    assert study_precision(fixed, tmp_path) == ""
    assert study_precision(kinds("TEACHER_SET=precision=fp32"), tmp_path) == "bf16"  # of its students
    write_study(study(), [], JobFiles(tmp_path), "")
    assert study_precision(auto, tmp_path) == "bf16"  # also after a launch with a fixed one


def test_job_ids_are_file_names(tmp_path: Path) -> None:
    (tmp_path / "it's {my}").mkdir()
    method = asking(tmp_path / "it's {my}", "a b{c}")
    ids = {job.id for job in jobs(f"METHODS={method}", "MODALITIES=t1", folds=(0,))}
    assert {name.rpartition("-")[0] for name in ids} == {"teacher-fold0-seed0", "a_b_c__t1-fold0-seed0"}
