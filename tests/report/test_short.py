from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from tiny import command

from kd_monai.metrics import (
    METRICS,
    SUMMARY_ROWS,
    case_row,
    cases_frame,
    gap_closed,
    paired_difference,
    region_scores,
    write_cases,
)
from kd_monai.report.publish import comparison_metrics
from kd_monai.report.report import read_study, short
from kd_monai.task import REGIONS

Write = Callable[..., Path]
LIFT = {"teacher": 0.2, "baseline": 0.0, "student": 0.05, "fixed_mask": -0.4}


def subject_names(fold: Any, n: int = 8) -> list[str]:
    return [f"f{fold}s{i}" for i in range(n)]


def dice_of(role: str, subject: str, seed: int = 0) -> float:
    """A subject's own difficulty, the role's lift, and a little noise."""
    own = np.random.default_rng(sum(map(ord, subject)) * 7).uniform(0.4, 0.6)
    noise = np.random.default_rng([sum(map(ord, subject + role)), seed]).normal(0, 0.01)
    return float(own + LIFT[role] + noise)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write an evaluated run folder."""

    def run(
        role: str, method: str = "", modality: str = "t1ce", fold: Any = 0, seed: int = 0, n: int = 8, dice: Any = None,
        subjects: list[str] | None = None, config: dict[str, Any] | None = None, **changes: Any,
    ) -> Path:  # fmt: skip
        method = method or {"student": "kdnet", "fixed_mask": "fixed_mask"}.get(role, "baseline")
        record = {
            "role": role, "method": method, "modality": modality, "fold": fold, "seed": seed, "recipe": "quick",
            "run_key": f"{role}-{modality}-{fold}", "data_digest": "d" * 64, "split_digest": "5" * 64,
            "labels": "brats2018",
        } | changes  # fmt: skip
        if role == "teacher" and "modality" not in changes and modality == "t1ce":
            record["modality"] = "t1-t1ce-t2-flair"
        rows = []
        for i, subject in enumerate(subjects or subject_names(fold, n)):
            value = dice_of(role, subject, seed) if dice is None else dice
            scores = {metric: dict.fromkeys(REGIONS, value) for metric in METRICS}
            scores["hd95"] = dict.fromkeys(REGIONS, 40 * (1 - value))
            empty = {"TC": False, "WT": False, "ET": i == 0}
            scores["sensitivity"]["ET"] = float("nan") if i == 0 else value
            rows.append(case_row(subject, "HGG", scores, empty, (2, 2, 2)))
        folder = tmp_path / f"{role}_{method}_{record['modality']}-{fold}-{seed}-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        (folder / "run.json").write_text(json.dumps(record))
        if config is not None:
            (folder / "config.yaml").write_text(yaml.safe_dump(config))
        write_cases(cases_frame(rows), folder / "cases.csv")
        return folder

    return run


def rows_of(out: Path) -> pd.DataFrame:
    return pd.read_csv(out / "comparison.csv", keep_default_na=False, na_values=[""])


def unwrapped(out: Path) -> str:
    return " ".join(short(out).split())


def row_of(rows: pd.DataFrame, role: str, metric: str = "dice", region: str = "WT", **more: str) -> dict[str, Any]:
    kept = rows[(rows.role == role) & (rows.metric == metric) & (rows.region == region)]
    for key, value in more.items():
        kept = kept[kept[key] == value]
    (row,) = kept.to_dict("records")
    return row


def values(role: str, folds: tuple[int, ...] = (0,)) -> list[float]:
    return [dice_of(role, subject) for fold in folds for subject in subject_names(fold)]


def test_the_file_has_a_row_per_role_method_modality_region_and_metric(tmp_path: Path, write: Write) -> None:
    for role in ("teacher", "baseline", "student"):
        write(role)
    write("baseline", modality="flair")
    write("student", modality="flair")
    short(tmp_path)
    rows = rows_of(tmp_path)
    assert len(rows) == 6 * len(SUMMARY_ROWS)  # the teacher stands beside each modality
    assert not rows.duplicated(["role", "method", "modality", "region", "metric"]).any()
    assert list(rows)[:13] == [
        "role", "method", "modality", "region", "metric", "mean", "std", "n", "n_empty", "diff", "ci_low", "ci_high",
        "gap_closed",
    ]  # fmt: skip


def test_numbers_are_those_of_the_pooled_cases(tmp_path: Path, write: Write) -> None:
    for role in ("teacher", "baseline", "student"):
        for fold in (0, 1):
            write(role, fold=fold)
    short(tmp_path)
    row = row_of(rows_of(tmp_path), "student")
    student, baseline, teacher = (values(role, (0, 1)) for role in ("student", "baseline", "teacher"))
    assert (row["n"], row["n_empty"], row["n_paired"], str(row["folds"])) == (16, 0, 16, "0 1")
    assert row["mean"] == pytest.approx(np.mean(student))
    assert row["std"] == pytest.approx(np.std(student, ddof=1))
    assert [row["diff"], row["ci_low"], row["ci_high"]] == pytest.approx(paired_difference(student, baseline)[:3])
    assert float(row["gap_closed"]) == pytest.approx(gap_closed(student, baseline, teacher), rel=1e-5)
    assert 0.15 < float(row["gap_closed"]) < 0.35
    assert row["teacher_diff"] == pytest.approx(np.mean(teacher) - np.mean(baseline))


def test_rows_say_how_many_references_are_empty(tmp_path: Path, write: Write) -> None:
    write("student")
    short(tmp_path)
    rows = rows_of(tmp_path)
    assert [row_of(rows, "student", region=region)["n_empty"] for region in (*REGIONS, "mean")] == [0, 0, 1, 1]
    assert row_of(rows, "student", region="ET_present")["n"] == 7
    assert row_of(rows, "student", metric="sensitivity", region="ET")["n"] == 7


def test_baseline_rows_have_no_difference_and_teacher_rows_no_gap(tmp_path: Path, write: Write) -> None:
    for role in ("teacher", "baseline", "student"):
        write(role)
    short(tmp_path)
    rows = rows_of(tmp_path)
    assert rows[rows.role == "baseline"][["diff", "ci_low", "ci_high", "gap_closed"]].isna().all(axis=None)
    teacher = row_of(rows, "teacher")
    assert teacher["diff"] == pytest.approx(0.2, abs=0.02)
    assert pd.isna(teacher["gap_closed"])


def test_gap_closed_is_undefined_where_the_teacher_shows_no_gap(tmp_path: Path, write: Write) -> None:
    for role in ("baseline", "student"):
        write(role)
    write("teacher", dice=None, subjects=subject_names(0)).joinpath("cases.csv").write_text(
        next(tmp_path.glob("baseline*/cases.csv")).read_text()
    )
    found = short(tmp_path)
    assert row_of(rows_of(tmp_path), "student")["gap_closed"] == "undefined"
    assert "the teacher is not significantly better than the baseline" in " ".join(found.split())
    assert not any(key.startswith("gap_closed") for key in comparison_metrics(read_study(tmp_path).frame))


def test_a_teacher_that_is_worse_than_the_baseline_leaves_no_gap_in_dice_or_hd95(tmp_path: Path, write: Write) -> None:
    write("teacher", dice=0.1)
    for role in ("baseline", "student"):
        write(role)
    short(tmp_path)
    for metric in ("dice", "hd95"):
        assert row_of(rows_of(tmp_path), "student", metric)["gap_closed"] == "undefined"
    assert not any(key.startswith("gap_closed") for key in comparison_metrics(read_study(tmp_path).frame))


def test_a_better_student_closes_a_positive_share_of_the_hd95_gap(tmp_path: Path, write: Write) -> None:
    for role in ("teacher", "baseline", "student"):
        write(role)
    short(tmp_path)
    row = row_of(rows_of(tmp_path), "student", "hd95")
    assert row["diff"] < 0
    assert 0.15 < float(row["gap_closed"]) < 0.35


def test_seeds_are_averaged_before_subjects_are_counted(tmp_path: Path, write: Write) -> None:
    write("student", seed=0, dice=0.5)
    write("student", seed=1, dice=0.7)
    short(tmp_path)
    row = row_of(rows_of(tmp_path), "student")
    assert (row["n"], row["std"]) == (8, pytest.approx(0, abs=1e-12))
    assert row["mean"] == pytest.approx(0.6)
    assert row["seeds"] == "0 1"


def test_only_shared_subjects_are_compared(tmp_path: Path, write: Write) -> None:
    write("baseline", subjects=subject_names(0, 8))
    write("baseline", fold=1)
    write("student", subjects=subject_names(0, 8))
    found = short(tmp_path)
    row = row_of(rows_of(tmp_path), "student")
    assert row["n_paired"] == 8
    assert row["diff"] == pytest.approx(np.mean(values("student")) - np.mean(values("baseline")))
    assert "|   8 |" in found


@pytest.mark.parametrize(
    ("key", "value"),
    [("data_digest", "e"), ("split_digest", "6"), ("labels", "msd"), ("recipe", "paper"), ("n_subjects", 4)],
)
def test_runs_of_another_study_are_never_mixed(tmp_path: Path, write: Write, key: str, value: Any) -> None:
    write("baseline")
    write("student")
    write("student", **{key: value})
    found = short(tmp_path)
    assert found.count("Digests: ") == 2
    rows = rows_of(tmp_path)
    stranger = rows[(rows.role == "student") & (rows[key].astype(str).str.startswith(str(value)))]
    assert len(stranger) == len(SUMMARY_ROWS)
    assert stranger["diff"].isna().all()


def test_number_of_training_subjects_is_read_from_the_configuration(tmp_path: Path, write: Write) -> None:
    write("student", config={"n_subjects": 4})
    write("student", config={"n_subjects": None})
    assert short(tmp_path).count("Digests: ") == 2


def test_a_subject_in_two_folds_is_refused(tmp_path: Path, write: Write) -> None:
    write("student", fold=0, subjects=["a", "b"])
    write("student", fold=1, subjects=["b", "c"])
    with pytest.raises(ValueError, match=r"subject b has 0, 1.*split"):
        short(tmp_path)


def test_two_runs_of_one_fold_and_seed_are_refused_by_name_and_can_be_chosen_from(tmp_path: Path, write: Write) -> None:
    first, second = write("student", dice=0.5), write("student", dice=0.7)
    with pytest.raises(ValueError, match="one run per fold and seed") as caught:
        short(tmp_path)
    assert str(first) in str(caught.value)
    assert str(second) in str(caught.value)
    assert row_of(read_study(tmp_path, [second]).frame, "student")["mean"] == pytest.approx(0.7)


def test_folds_trained_with_other_settings_are_not_pooled(tmp_path: Path, write: Write) -> None:
    same = {"seed": 0, "device": "cpu"}
    write("student", fold=0, config={"fold": 0, "epochs": 2, **same})
    write("student", fold=1, config={"fold": 1, "epochs": 4, **same})
    found = short(tmp_path)
    assert [row["n"] for row in rows_of(tmp_path)[rows_of(tmp_path).region == "mean"].to_dict("records")] == [8, 8]
    assert found.count("Digests: ") == 2


def test_folds_on_other_devices_are_pooled(tmp_path: Path, write: Write) -> None:
    write("student", fold=0, config={"fold": 0, "epochs": 2, "device": "cpu"})
    write("student", fold=1, config={"fold": 1, "epochs": 2, "device": "cuda"})
    assert row_of(read_study(tmp_path).frame, "student")["n"] == 16


def test_the_teacher_is_the_one_that_taught(tmp_path: Path, write: Write) -> None:
    write("baseline")
    write("teacher", dice=0.9, run_key="other", modality="t1-t2")
    write("teacher", run_key="mine")
    write("student", teacher_key="mine")
    row = row_of(read_study(tmp_path).frame, "student")
    assert row["teacher_diff"] == pytest.approx(np.mean(values("teacher")) - np.mean(values("baseline")))


def test_another_students_teacher_gives_no_gap(tmp_path: Path, write: Write) -> None:
    for role in ("baseline", "teacher"):
        write(role)
    write("student", teacher_key="a teacher from elsewhere")
    found = short(tmp_path)
    assert pd.isna(row_of(rows_of(tmp_path), "student")["gap_closed"])
    assert "Missing: the teacher of kdnet on t1ce" in found


@pytest.mark.parametrize(
    ("present", "said"),
    [
        (("baseline", "student"), "Missing: the teacher"),
        (("teacher", "student"), "Missing: the baseline on t1ce"),
        (("teacher", "baseline"), "Missing: a student on t1ce"),
        (("teacher",), "Missing: baseline and student"),
    ],
)
def test_what_is_missing_is_said_and_the_rest_is_shown(
    tmp_path: Path, write: Write, present: tuple[str, ...], said: str
) -> None:
    for role in present:
        write(role)
    found = short(tmp_path)
    assert said in found
    # typed as it stands, `make baseline` would train on the phantom
    assert "the same DATA" in " ".join(found.split())
    assert list(dict.fromkeys(rows_of(tmp_path).role)) == list(present)


def test_where_nothing_is_missing_nothing_is_said_of_training_it(tmp_path: Path, write: Write) -> None:
    for role in ("teacher", "baseline", "student"):
        write(role)
    found = short(tmp_path)
    assert "Missing" not in found
    assert "the same DATA" not in found


def test_a_run_without_scores_is_named(tmp_path: Path, write: Write) -> None:
    write("student")
    unfinished = write("baseline")
    (unfinished / "cases.csv").unlink()
    assert f"{unfinished.name} has no cases.csv and is left out: its training is not fin" in unwrapped(tmp_path)
    record = json.loads((unfinished / "run.json").read_text())
    for status, said in (
        ("FAILED", "its training failed"),
        ("FINISHED", f"evaluate it (make evaluate OUT={tmp_path})"),
    ):
        (unfinished / "run.json").write_text(json.dumps(record | {"status": status}))
        assert f"{unfinished.name} has no cases.csv and is left out: {said}" in unwrapped(tmp_path)


@pytest.mark.parametrize("status", ["FAILED", "RUNNING"])
def test_scores_of_a_run_that_is_not_finished_are_not_read_and_it_is_named(
    tmp_path: Path, write: Write, status: str
) -> None:
    write("student")
    retrained = write("baseline", status=status)
    text = unwrapped(tmp_path)
    assert f"{retrained.name} is left out: its training is {status}" in text
    assert set(rows_of(tmp_path).role) == {"student"}


def test_nothing_evaluated_is_an_error_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="make student"):
        short(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda record: record.pop("split_digest"), "lacks split_digest"),
        (lambda record: record.update(role="critic"), "role"),
    ],
)
def test_a_broken_record_is_refused_by_name(
    tmp_path: Path, write: Write, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    file = write("student") / "run.json"
    record = json.loads(file.read_text())
    change(record)
    file.write_text(json.dumps(record))
    with pytest.raises(ValueError, match=message) as caught:
        short(tmp_path)
    assert str(file) in str(caught.value)


def test_the_student_is_held_against_the_best_fixed_mask(tmp_path: Path, write: Write) -> None:
    write("student")
    write("fixed_mask", modality="none")
    text = " ".join(short(tmp_path).split())
    assert "The lower bound is above the" in text
    assert "best fixed mask on the same 8 subjects" in text


def test_a_student_no_better_than_a_fixed_mask_is_told_so(tmp_path: Path, write: Write) -> None:
    write("student", dice=0.1)
    write("fixed_mask", modality="none", dice=0.1)
    assert "not above" in short(tmp_path)


def test_lower_hd95_is_better(tmp_path: Path, write: Write) -> None:
    write("baseline")
    write("student")
    cells = [[cell.strip() for cell in line.split("|")] for line in short(tmp_path).splitlines()]
    found = {cell[1]: cell[2:] for cell in cells if len(cell) > 5 and cell[1] in ("kdnet, Dice WT", "kdnet, HD95 WT")}
    assert [own[0][0] for own in found.values()] == ["+", "-"]
    assert [own[-2] for own in found.values()] == ["better", "better"]


def test_an_interval_with_zero_in_it_is_put_in_words(tmp_path: Path, write: Write) -> None:
    write("baseline", dice=0.5)
    write("student", dice=0.5)
    text = short(tmp_path)
    assert "| not shown |" in text
    assert "| better" not in text


def test_prose_fits_100_columns_and_states_its_basis(tmp_path: Path, write: Write) -> None:
    long = {"method": "kdnet,attention,prototype", "modality": "t1ce-t2-flair"}
    for fold in (0, 1):
        write("teacher", fold=fold)
        write("baseline", modality="t1ce-t2-flair", fold=fold)
        write("student", fold=fold, recipe="quick", **long)
    worst = write("student", fold=2, **long)
    cases = pd.read_csv(worst / "cases.csv")
    cases[["hd95_TC", "hd95_WT", "hd95_ET"]] = np.resize([0, 373.13], (3, 8)).T
    cases.to_csv(worst / "cases.csv", index=False)
    write("fixed_mask", modality="none")
    text = short(tmp_path)
    assert max(len(line) for line in text.splitlines() if not line.startswith(("| ", "- Written"))) <= 100
    assert "n = 16 to 24 test subjects, scored at 2 x 2 x 2 mm, folds 0, 1, 2, seed 0" in " ".join(text.split())
    assert "Empty references: TC 0, WT 0, ET 3." in text


def test_modality_chooses_what_is_shown_and_the_file_holds_all(tmp_path: Path, write: Write) -> None:
    for modality in ("t1ce", "flair"):
        write("baseline", modality=modality)
        write("student", modality=modality)
    text = short(tmp_path, modality="flair")
    assert "Students against the baseline on flair" in text
    assert "t1ce" not in text.replace("t1-t1ce-t2-flair", "")
    assert set(rows_of(tmp_path).modality) == {"t1ce", "flair"}
    with pytest.raises(ValueError, match="MODALITY=t2"):
        short(tmp_path, modality="t2")


def test_comparing_twice_gives_the_same_file(tmp_path: Path, write: Write) -> None:
    for role in ("teacher", "baseline", "student"):
        write(role)
    short(tmp_path)
    first = (tmp_path / "comparison.csv").read_bytes()
    short(tmp_path)
    assert (tmp_path / "comparison.csv").read_bytes() == first


def test_parent_metrics_have_names_that_mlflow_takes(tmp_path: Path, write: Write) -> None:
    for role in ("teacher", "baseline", "student"):
        write(role)
    metrics = comparison_metrics(read_study(tmp_path).frame)
    assert 0 < metrics["gap_closed/kdnet_t1ce/dice_WT"] < 1
    assert "diff/kdnet_t1ce/dice_mean" in metrics
    assert all(
        set(key) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-. /:") for key in metrics
    )


def test_a_hand_drawn_case_goes_through_from_masks_to_the_file(tmp_path: Path, write: Write) -> None:
    # reference 1100, baseline 1000 (Dice 2/3), student 1110 (Dice 4/5)
    label = np.broadcast_to(np.array([1, 1, 0, 0]) > 0, (3, 1, 1, 4))
    for role, drawn in (("baseline", [1, 0, 0, 0]), ("student", [1, 1, 1, 0])):
        folder = write(role)
        scores = region_scores(np.broadcast_to(np.array(drawn) > 0, (3, 1, 1, 4)), label, (1, 1, 1))
        rows = [case_row(name, None, scores, dict.fromkeys(REGIONS, False), (1, 1, 1)) for name in ("a", "b")]
        write_cases(cases_frame(rows), folder / "cases.csv")
    short(tmp_path)
    row = row_of(rows_of(tmp_path), "student", region="mean")
    assert row["diff"] == pytest.approx(4 / 5 - 2 / 3)
    assert (row["ci_low"], row["ci_high"]) == (row["diff"], row["diff"])


def test_the_command_prints_the_table_and_gives_2_where_there_is_none(
    tmp_path: Path, write: Write, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = [f"OUT={tmp_path}", "MODALITY="]
    assert command("compare", arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "make student" in said.err
    write("student")
    assert command("compare", arguments) == 0
    assert "| kdnet" in capsys.readouterr().out


def test_runs_that_were_chosen_leave_the_file_of_the_whole_folder_alone(tmp_path: Path, write: Write) -> None:
    student, _ = write("student"), write("baseline")
    assert "Written to" not in short(tmp_path, runs=[student])
    assert not list(tmp_path.glob("*.csv"))
    assert f"Written to {tmp_path / 'comparison.csv'}" in short(tmp_path)
    first = (tmp_path / "comparison.csv").read_bytes()
    short(tmp_path, runs=[student])
    assert (tmp_path / "comparison.csv").read_bytes() == first


def test_one_run_that_cannot_be_scored_leaves_the_others(
    tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = write("student"), tmp_path / "gone"

    def score(folder: Path, *_: Any) -> Path:
        if folder == bad:
            raise ValueError("its data are not there. Correct DATA.")
        return folder / "cases.csv"

    monkeypatch.setattr("kd_monai.export.bundle.finished_runs", lambda out: [bad, good])
    monkeypatch.setattr("kd_monai.training.score.score", score)
    assert command("evaluate", [f"OUT={tmp_path}"]) == 1
    said = capsys.readouterr()
    assert "gone was not scored. ValueError: its data are not there. Correct DATA." in said.err
    assert "| kdnet" in said.out


def test_named_runs_are_shown_with_the_counterparts_that_they_lack(tmp_path: Path, write: Write) -> None:
    write("teacher")
    write("baseline")
    student = write("student")
    folder = student.rename(tmp_path / "kdnet_t1ce-fold0-1")
    for other in list(tmp_path.glob("*-0-0-*")):
        other.rename(tmp_path / f"{other.name.split('-')[0]}-fold0-2")
    write("student", "hinton")
    text = short(tmp_path, [folder])
    assert all(f"| {arm} " in text for arm in ("teacher", "baseline", "kdnet"))
    assert "hinton" not in text
