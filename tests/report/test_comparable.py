"""Which runs stand in one table: those of one study that share what a student shares with its baseline."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from kd_monai.config.overlays import STUDENT, TEACHER, overlay, train_files
from kd_monai.config.plan import Plan
from kd_monai.metrics import METRICS, case_row, cases_frame, write_cases
from kd_monai.report.comparable import comparable_key, comparable_runs
from kd_monai.report.pooled import PooledRuns
from kd_monai.report.publish import comparison_metrics
from kd_monai.report.report import read_study, short
from kd_monai.runs.read import EvaluatedRun, find_runs
from kd_monai.task import REGIONS

DICE = {"teacher": 0.8, "baseline": 0.5, "student": 0.6, "fixed_mask": 0.2}


@cache
def plan(role: str, network: str) -> Plan:
    """Recipe, network and method on `train.yaml`."""
    bundle = TEACHER if role == "teacher" else STUDENT
    files = [*train_files(bundle), overlay(bundle, "recipe", "quick"), overlay(bundle, "network", network)]
    if role != "teacher":
        files.append(overlay(bundle, "method", "baseline" if role == "baseline" else "kdnet"))
    return Plan.read(role, bundle, files, {})


def config(role: str, modality: str, network: str, **changes: Any) -> dict[str, Any]:
    """As training resolves it, then the overrides."""
    return dict(plan(role, network).changed({"modality": modality, **changes}).config)


def write(
    out: Path, role: str, modality: str = "t1ce", fold: int = 0, key: str = "", taught_by: str | None = None,
    network: str = "basicunet", dice: float | None = None, **changes: Any,
) -> Path:  # fmt: skip
    """An evaluated run folder; `changes` are overrides of its configuration."""
    folder = out / f"{role}-{len(list(out.iterdir())):02d}"
    folder.mkdir()
    modality = "t1-t1ce-t2-flair" if role == "teacher" else modality
    record = {
        "role": role, "method": "kdnet" if role == "student" else "baseline", "modality": modality, "fold": fold,
        "seed": 0, "data_digest": "d", "split_digest": "s", "labels": "brats2018", "recipe": "quick",
        "run_key": key or folder.name, "teacher_key": taught_by, "n_subjects": changes.get("n_subjects"),
        **{fact: changes.pop(fact, 1) for fact in ("computes", "processes")},
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(record))
    if role != "fixed_mask":
        (folder / "config.yaml").write_text(yaml.safe_dump(config(role, modality, network, fold=fold, **changes)))
    value = DICE[role] if dice is None else dice
    names = [f"f{fold}s{i}" for i in range(4)]
    scores = [{metric: dict.fromkeys(REGIONS, value + 0.01 * i) for metric in METRICS} for i in range(4)]
    rows = [
        case_row(name, None, score, dict.fromkeys(REGIONS, False), (2, 2, 2))
        for name, score in zip(names, scores, strict=True)
    ]
    write_cases(cases_frame(rows), folder / "cases.csv")
    return folder


def tables(out: Path) -> list[list[str]]:
    """Titles of each group's pools."""
    return [list(map(title, group.pooled)) for group in comparable_runs(find_runs(out)[0])]


def title(pooled: PooledRuns) -> str:
    """Role, method of a student, modality, and what tells its variants apart."""
    method = [pooled.method] if pooled.role == "student" else []
    variant = [pooled.variant[:4]] if pooled.differs else []
    return " ".join([pooled.role, *method, pooled.modality, *variant])


def wt(rows: pd.DataFrame, role: str) -> pd.DataFrame:
    return rows[(rows.role == role) & (rows.metric == "dice") & (rows.region == "WT")]


@pytest.mark.parametrize("setting", [{"epochs": 3}, {"width": 4}, {"network": "segresnet"}, {"optimizer": None}])
def test_teacher_baseline_and_student_of_one_setting_share_a_table(tmp_path: Path, setting: dict[str, Any]) -> None:
    for role in ("teacher", "baseline", "student"):
        write(tmp_path, role, key=role, taught_by="teacher" if role == "student" else None, **setting)
    write(tmp_path, "baseline", "flair", **setting)
    assert len(tables(tmp_path)) == 1


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"epochs": 3}, ("epochs=6", "epochs=3")),
        ({"width": 4}, ("width=8", "width=4")),
        ({"roi_size": [32, 32, 32]}, ("roi_size=[64, 64, 64]", "roi_size=[32, 32, 32]")),
        ({"network_def#act": "relu"}, ("network_def#act=['LeakyReLU'", "network_def#act=relu")),
        ({"processes": 2}, ("processes=1", "processes=2")),
        ({"computes": 2}, ("computes=1", "computes=2")),
    ],
)
def test_each_setting_has_its_table_its_baseline_and_a_line_that_says_what_differs(
    tmp_path: Path, other: dict[str, Any], said: tuple[str, str]
) -> None:
    for setting, gain in (({}, 0.1), (other, 0.2)):
        write(tmp_path, "baseline", **setting)
        write(tmp_path, "student", dice=DICE["baseline"] + gain, **setting)
    found = read_study(tmp_path).frame
    assert found.configuration.nunique() == 2
    text = short(tmp_path)
    assert sorted(wt(found, "student")["diff"]) == pytest.approx([0.1, 0.2])
    for part in said:
        assert text.count(part) == 1
    assert sorted(comparison_metrics(found).values())[0] == pytest.approx(0.1)
    names = {key for key in comparison_metrics(found) if key.endswith("/dice_WT")}
    assert len(names) == 2  # one setting does not overwrite the other on the parent


def test_arms_of_other_numbers_of_subjects_do_not_overwrite_each_other_on_their_parent(tmp_path: Path) -> None:
    for arm in ({}, {"n_subjects": 4}, {"n_subjects": 8}):
        write(tmp_path, "baseline", **arm)
        write(tmp_path, "student", **arm)
    names = {key for key in comparison_metrics(read_study(tmp_path).frame) if key.endswith("/dice_WT")}
    assert names == {f"diff/kdnet_t1ce{arm}/dice_WT" for arm in ("", "_n4", "_n8")}


def test_a_student_without_a_baseline_of_its_setting_is_compared_with_none(tmp_path: Path) -> None:
    write(tmp_path, "baseline")
    write(tmp_path, "student", epochs=3)
    found = read_study(tmp_path).frame
    assert wt(found, "student")["diff"].isna().all()
    assert "Missing: the baseline on t1ce" in short(tmp_path)


def test_what_a_method_adds_or_changes_of_its_own_keeps_its_baseline(tmp_path: Path) -> None:
    write(tmp_path, "baseline")
    added = {"temperature": 3.0, "loss#more": 1, "initialize": ["$1"], "segmentation_weight": 0.5, "num_workers": 4}
    write(tmp_path, "student", **added)
    assert len(tables(tmp_path)) == 1
    assert wt(read_study(tmp_path).frame, "student")["diff"].item() == pytest.approx(0.1)


@pytest.mark.parametrize("options", [{"teachers": "crossfit"}, {"init": "teacher"}, {"inner_folds": 5}])
def test_what_its_teacher_knows_more_keeps_a_students_baseline_and_is_told(tmp_path: Path, options: Any) -> None:
    write(tmp_path, "baseline")
    write(tmp_path, "student")
    write(tmp_path, "student", **options)
    (table,) = comparable_runs(find_runs(tmp_path)[0])
    students = {pool.differs for pool in table.pooled if pool.role == "student"}
    ((name, value),) = options.items()
    assert any(f"{name}={value}" in differs for differs in students)
    assert len(students) == 2


def test_a_student_has_one_name_on_all_modalities_where_a_setting_differs_on_some(tmp_path: Path) -> None:
    for modality in ("t1", "t1ce"):
        write(tmp_path, "baseline", modality)
        write(tmp_path, "student", modality)
    write(tmp_path, "student", "t1ce", teachers="crossfit")
    (table,) = comparable_runs(find_runs(tmp_path)[0])
    names = [(pool.modality, pool.differs) for pool in table.pooled if pool.role == "student"]
    assert names == [("t1", "teachers=single"), ("t1ce", "teachers=single"), ("t1ce", "teachers=crossfit")]


def recorded(folder: Path, **changes: Any) -> None:
    file = folder / "run.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_students_with_and_without_unlabelled_subjects_are_two_and_share_their_baseline(tmp_path: Path) -> None:
    write(tmp_path, "baseline")
    for unlabelled in (None, "rest", "0123"):
        recorded(write(tmp_path, "student"), unlabelled=unlabelled)
    (table,) = tables(tmp_path)
    assert len(table) == 4


def test_a_teacher_of_an_inner_fold_stands_in_no_table(tmp_path: Path) -> None:
    for inner_fold in (None, "0/3"):
        recorded(write(tmp_path, "teacher"), inner_fold=inner_fold)
    (tmp_path / "teacher-01" / "cases.csv").unlink()
    for _ in range(2):  # with scores or without
        found, remarks = find_runs(tmp_path)
        assert ([run.folder.name for run in found], remarks) == (["teacher-00"], [])
        (tmp_path / "teacher-01" / "cases.csv").write_text((tmp_path / "teacher-00" / "cases.csv").read_text())


def test_a_number_that_the_network_alone_reads_is_a_setting(tmp_path: Path) -> None:
    for filters in (4, 8):
        own = {"filters": filters, "network_def": {"_target_": "monai.networks.nets.SegResNet", "filters": "@filters"}}
        write(tmp_path, "baseline", **own)
        write(tmp_path, "student", **own)
    assert len(tables(tmp_path)) == 2


def test_students_of_other_terms_stand_in_one_table_and_say_how_they_differ(tmp_path: Path) -> None:
    write(tmp_path, "baseline")
    for weight in (1.0, 10.0):
        write(tmp_path, "student", dice=0.5 + 0.01 * weight, **{"terms#latent_kl#weight": weight})
    found = read_study(tmp_path).frame
    assert found.configuration.nunique() == 1
    assert sorted(wt(found, "student")["diff"]) == pytest.approx([0.01, 0.1])
    assert wt(found, "student").variant.nunique() == 2
    for weight in ("1.0", "10.0"):
        assert f"kdnet (terms#latent_kl#weight={weight})" in short(tmp_path)


def test_a_teacher_of_another_setting_stands_with_the_students_it_taught(tmp_path: Path) -> None:
    write(tmp_path, "teacher", key="wide", width=16, network="segresnet")
    write(tmp_path, "baseline")
    write(tmp_path, "student", taught_by="wide")
    assert tables(tmp_path) == [["teacher t1-t1ce-t2-flair", "baseline t1ce", "student kdnet t1ce"]]
    assert wt(read_study(tmp_path).frame, "student")["teacher_diff"].item() == pytest.approx(0.3)


def test_a_teacher_of_students_of_two_settings_stands_with_both(tmp_path: Path) -> None:
    write(tmp_path, "teacher", key="one")
    for width in (4, 8):
        write(tmp_path, "student", taught_by="one", width=width)
    assert [len(titles) for titles in tables(tmp_path)] == [2, 2]


def test_a_teacher_whose_students_are_not_evaluated_yet_stands_with_those_of_other_folds(tmp_path: Path) -> None:
    for fold in (0, 1):
        write(tmp_path, "teacher", fold=fold, key=f"t{fold}", width=16)
    write(tmp_path, "teacher", fold=2, key="t2", width=32)
    write(tmp_path, "student", taught_by="t0")
    found = {tuple(map(title, group.pooled)): group for group in comparable_runs(find_runs(tmp_path)[0])}
    assert len(found) == 2
    assert found["teacher t1-t1ce-t2-flair", "student kdnet t1ce"].pooled[0].runs[1].record["fold"] == 1


def test_the_teacher_of_all_subjects_stands_with_the_students_of_few(tmp_path: Path) -> None:
    write(tmp_path, "teacher", key="all")
    write(tmp_path, "teacher", key="few", n_subjects=4)
    for teacher in ("all", "few"):
        write(tmp_path, "student", taught_by=teacher, n_subjects=4)
    (titles,) = tables(tmp_path)
    assert [title.split()[0] for title in titles] == ["teacher", "teacher", "student", "student"]


def test_students_of_several_teachers_are_told_apart(tmp_path: Path) -> None:
    for width in (8, 16):
        write(tmp_path, "teacher", key=f"w{width}", width=width)
        write(tmp_path, "student", taught_by=f"w{width}")
    write(tmp_path, "student", taught_by="w8,w16")
    (titles,) = tables(tmp_path)
    assert len(set(titles)) == 5
    teacher = titles[0].split()[-1]
    assert f"teacher={teacher}" in short(tmp_path)


def test_folds_of_one_setting_are_one_pool_though_each_has_its_own_teacher(tmp_path: Path) -> None:
    for fold in (0, 1):
        write(tmp_path, "teacher", fold=fold, key=f"t{fold}")
        write(tmp_path, "student", fold=fold, taught_by=f"t{fold}")
    assert tables(tmp_path) == [["teacher t1-t1ce-t2-flair", "student kdnet t1ce"]]


def test_a_fixed_mask_stands_in_every_setting_of_its_study(tmp_path: Path) -> None:
    write(tmp_path, "fixed_mask", modality="none")
    for width in (4, 8):
        write(tmp_path, "student", width=width)
    assert [titles[-1] for titles in tables(tmp_path)] == ["fixed_mask none"] * 2


def test_a_whole_number_with_a_point_is_the_same_setting(tmp_path: Path) -> None:
    keys = {comparable_key(EvaluatedRun.read(write(tmp_path, "baseline", spacing_mm=value))) for value in (2, 2.0)}
    assert len(keys) == 1


def test_a_group_names_the_folder_of_its_data_beside_their_digest(tmp_path: Path) -> None:
    """Runs on the phantom and on real cases in one folder are told apart by more than a hash."""
    write(tmp_path, "baseline", dataset_dir="/somewhere/brats/2mm")
    write(tmp_path, "student", dataset_dir="/elsewhere/2mm")
    (group,) = comparable_runs(find_runs(tmp_path)[0])
    assert group.data == "d (2mm)"
    assert "data d (2mm), split s" in short(tmp_path)
