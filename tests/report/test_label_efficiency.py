"""Labelled subjects that a student with its teacher needs, from folders of evaluated runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fake_runs import write_run
from matplotlib.collections import LineCollection

from kd_monai.report.comparable import group_runs
from kd_monai.report.figures import draw_figures
from kd_monai.report.figures.efficiency import efficiency_figure
from kd_monai.report.figures.gain import gain_figure
from kd_monai.report.label_efficiency import efficiency_tables, efficiency_words, label_efficiency
from kd_monai.report.rows import report_rows
from kd_monai.runs.read import find_runs


def efficiency(out: Path) -> pd.DataFrame:
    return label_efficiency(group_runs(find_runs(out)[0]))


def write_arms(out: Path, numbers: tuple[int | None, ...], lift: float = 0.05, **student: Any) -> None:
    for n in numbers:
        write_run(out, "baseline", n_subjects=n)
        write_run(out, "kdnet", lift=lift, n_subjects=n, **student)


def test_labels_that_only_the_teacher_saw_count(tmp_path: Path) -> None:
    write_run(tmp_path, "teacher")
    write_arms(tmp_path, (None, 7))
    rows = efficiency(tmp_path)
    students = rows[rows.role == "student"].set_index("n_subjects")
    assert students.n_train.to_dict() == {"all": 14, 7: 7}
    assert students.n_labelled.to_dict() == {"all": 14, 7: 14}
    assert (
        "kdnet on t1ce: with 14 (7 its own, the others its teacher's) labelled subjects it matches the baseline "
        in (said := efficiency_words(rows)[0])
    )
    assert "with all 14, which saves no labels, +" in said
    assert efficiency_figure(rows, "") is None  # one number of labels is no curve


def test_a_student_of_few_alone_is_shown_and_one_of_all_alone_is_not(tmp_path: Path) -> None:
    for n in (None, 7):
        write_run(tmp_path, "teacher", n_subjects=n, run_key=f"teacher-{n}")
    write_run(tmp_path, "baseline")
    write_run(tmp_path, "kdnet", n_subjects=7, teacher_key="teacher-7")
    write_run(tmp_path, "hinton", teacher_key="teacher-None")
    rows = efficiency(tmp_path)
    (table,) = efficiency_tables(rows)
    assert {row[0] for row in table.rows} == {"baseline", "kdnet"}
    words = efficiency_words(rows)
    assert words[0].startswith("kdnet on t1ce: with 7 labelled subjects it matches the baseline with all 14, +0.6")
    assert not any(word.startswith("hinton") for word in words)


def test_bars_of_the_figure_are_the_intervals_of_the_differences(tmp_path: Path) -> None:
    for n in (None, 4):
        write_run(tmp_path, "teacher", n_subjects=n, run_key=f"teacher-{n}")
        write_run(tmp_path, "baseline", n_subjects=n)
        write_run(tmp_path, "kdnet", lift=-0.2, n_subjects=n, teacher_key=f"teacher-{n}")
    rows = efficiency(tmp_path)
    figure = efficiency_figure(rows, "")
    assert figure is not None
    (axis,) = figure.axes
    bars = next(drawn for drawn in axis.collections if isinstance(drawn, LineCollection)).get_segments()
    own = rows[rows.arm == "kdnet"].sort_values("n_labelled")
    target = rows[(rows.arm == "baseline") & (rows.n_subjects == "all")]["mean"].item()
    np.testing.assert_allclose(
        [bar[:, 1] for bar in bars], 100 * (target + own[["ci_low", "ci_high"]].to_numpy(float)), rtol=1e-6
    )


def test_one_number_of_labels_is_a_point_with_its_interval(tmp_path: Path) -> None:
    write_run(tmp_path, "teacher", n_subjects=4, run_key="teacher-4")
    write_arms(tmp_path, (4,), teacher_key="teacher-4")
    write_run(tmp_path, "baseline")
    rows = efficiency(tmp_path)
    figure = efficiency_figure(rows, "")
    assert figure is not None
    (axis,) = figure.axes
    own = rows[rows.role == "student"].iloc[0]
    drawn = {line.get_label(): line.get_xydata() for line in axis.lines}
    x, y = drawn["kdnet"][0]
    assert drawn["kdnet"].shape == (1, 2)
    assert (x, y) == pytest.approx((4, 100 * own["mean"]), abs=0.5)
    # the dotted line of a student that matches stands below its own marker
    (dotted,) = (part.get_segments()[0] for part in axis.collections[1:])
    assert own["diff"] >= 0
    assert dotted[:, 0].tolist() == [x, x]
    assert dotted[1, 1] == y


def test_settings_that_differ_under_one_number_alone_keep_their_names_under_all(tmp_path: Path) -> None:
    for n in (None, 4):
        write_run(tmp_path, "teacher", n_subjects=n, run_key=f"teacher-{n}")
        write_run(tmp_path, "baseline", n_subjects=n)
    for unlabelled in (None, "rest"):
        write_run(tmp_path, "kdnet", n_subjects=4, teacher_key="teacher-4", unlabelled=unlabelled)
    write_run(tmp_path, "kdnet", teacher_key="teacher-None")
    rows = efficiency(tmp_path)
    own = rows[rows.role == "student"]
    assert {arm: sorted(map(str, of_arm.n_subjects)) for arm, of_arm in own.groupby("arm")} == {
        f"kdnet (unlabelled={value})": ["4", "all"] for value in (None, "rest")
    }
    figure = efficiency_figure(rows, "")
    assert figure is not None
    assert [len(line.get_xdata()) for line in figure.axes[0].lines if line.get_label().startswith("kdnet")] == [2, 2]
    draw_figures(groups := group_runs(find_runs(tmp_path)[0]), [report_rows(group) for group in groups], rows, tmp_path)
    assert (tmp_path / "gain.png").is_file()


def test_a_line_of_gains_joins_means_over_the_same_modalities_alone(tmp_path: Path) -> None:
    for n, modalities in ((None, ("t1ce",)), (4, ("t1", "t1ce"))):
        write_run(tmp_path, "teacher", n_subjects=n, run_key=f"teacher-{n}")
        for modality in ("t1", "t1ce"):
            write_run(tmp_path, "baseline", modality, n_subjects=n)
        for modality in modalities:
            write_run(tmp_path, "kdnet", modality, n_subjects=n, teacher_key=f"teacher-{n}")
    rows = pd.concat([report_rows(group) for group in group_runs(find_runs(tmp_path)[0])])
    figure = gain_figure(rows, "")
    assert figure is not None
    assert [axis.get_title() for axis in figure.axes] == ["T1ce"]
    (axis,) = figure.axes
    assert [len(line.get_xdata()) for line in axis.lines if line.get_label() == "kdnet"] == [2]


@pytest.mark.parametrize("other", [{"unlabelled": "5" * 64}, {"settings": {"terms": {"weight": 2}}}])
def test_what_one_setting_scored_is_not_said_of_another(other: dict[str, Any], tmp_path: Path) -> None:
    for n in (None, 4, 8):
        write_run(tmp_path, "teacher", n_subjects=n, run_key=f"teacher-{n}")
        write_run(tmp_path, "baseline", n_subjects=n)
    for more in ({}, other):
        write_run(tmp_path, "kdnet", n_subjects=4, teacher_key="teacher-4", **more)
    for n in (8, None):  # with the other setting alone
        write_run(tmp_path, "kdnet", n_subjects=n, teacher_key=f"teacher-{n}", **other)
    rows = efficiency(tmp_path)
    students = rows[rows.role == "student"]
    assert {arm: set(map(str, own.n_subjects)) for arm, own in students.groupby("arm")} == {
        name: {"8", "all"} if name == "kdnet" else {"4"} for name in students.arm
    }


def test_labels_of_cross_fitted_teachers_without_scores_count(tmp_path: Path) -> None:
    whole = write_run(tmp_path, "teacher", n_subjects=10, run_key="whole")
    inner = write_run(tmp_path, "teacher", n_subjects=10, run_key="inner", n_train=6, inner_fold="0/2")
    for folder in (whole, inner):
        (folder / "cases.csv").unlink()
    write_arms(tmp_path, (None, 7), teacher_key="whole,inner")
    rows = efficiency(tmp_path)
    assert rows[rows.role == "student"].set_index("n_subjects").n_labelled.to_dict() == {"all": 14, 7: 10}


@pytest.mark.parametrize("teacher", [None, {"fold": 1}, {"split_digest": "6" * 64}])
def test_a_student_whose_teacher_is_not_here_is_left_out_and_told_so(tmp_path: Path, teacher: Any) -> None:
    if teacher is not None:
        write_run(tmp_path, "teacher", run_key="teacher-0-0", **{"fold": 0} | teacher)
    write_arms(tmp_path, (None, 7))
    rows = efficiency(tmp_path)
    assert rows[rows.role == "student"].n_labelled.isna().all()
    assert efficiency_words(rows)[0].startswith("Left out: kdnet on t1ce with N_SUBJECTS=7, all. Its teacher's run is")
    (table,) = efficiency_tables(rows)
    assert {row[0] for row in table.rows} == {"baseline"}


def test_a_student_that_never_matches_is_told_so_and_what_is_not_counted(tmp_path: Path) -> None:
    for n in (None, 4):
        write_run(tmp_path, "teacher", n_subjects=n, run_key=f"teacher-{n}")
        write_run(tmp_path, "baseline", n_subjects=n)
        write_run(tmp_path, "kdnet", lift=-0.2, n_subjects=n, teacher_key=f"teacher-{n}")
    said, not_counted = efficiency_words(efficiency(tmp_path))
    assert "with none of 4, 14 labelled subjects does it match the baseline with all 14" in said
    assert not_counted == (
        "Not counted as labelled: the 3 validation subjects of each run, whose references choose its epoch and its "
        "thresholds."
    )


def test_a_modality_with_fewer_folds_stays(tmp_path: Path) -> None:
    for fold, n_train, modality in ((0, 14, "t1"), (0, 14, "t2"), (1, 10, "t1")):
        for method in ("baseline", "kdnet"):
            write_run(tmp_path, method, modality, fold, n=4, n_train=n_train)
        write_run(tmp_path, "baseline", modality, fold, n=4, n_subjects=4)
        if modality == "t1":
            write_run(tmp_path, "teacher", fold=fold, n=4, n_train=n_train)
    rows = efficiency(tmp_path)
    every = rows[(rows.role == "student") & (rows.n_subjects == "all")].set_index("modality")
    assert every.n_labelled.to_dict() == {"t1": 12, "t2": 14, "all": 12}
    assert every.n_full.to_dict() == every.n_labelled.to_dict()


def test_the_full_baselines_folds_that_a_student_lacks_do_not_make_it_look_cheap(tmp_path: Path) -> None:
    for fold, n_train in ((0, 10), (1, 14)):
        write_run(tmp_path, "baseline", fold=fold, n_train=n_train)
    write_run(tmp_path, "teacher", n_train=10)
    for n in (None, 4):
        write_run(tmp_path, "kdnet", lift=0.05, n_subjects=n, n_train=10 if n is None else n)
    rows = efficiency(tmp_path)
    assert rows[rows.role == "student"].n_full.tolist() == [10, 10]
    assert "which saves no labels" in efficiency_words(rows)[0]


def test_a_baseline_that_has_not_all_is_not_said_to(tmp_path: Path) -> None:
    for n in (4, 8):
        write_run(tmp_path, "teacher", n_subjects=n, run_key=f"teacher-{n}")
        write_run(tmp_path, "baseline", n_subjects=n)
        write_run(tmp_path, "kdnet", lift=0.05, n_subjects=n, teacher_key=f"teacher-{n}")
    rows = efficiency(tmp_path)
    assert efficiency_words(rows)[0].startswith(
        "kdnet on t1ce: with 4 labelled subjects it matches the baseline with 8, "
    )
    assert efficiency_tables(rows)[0].title.endswith("in points to the baseline with 8")
    figure = efficiency_figure(rows, "")
    assert figure is not None
    assert "the baseline that has the most" in " ".join(figure.get_suptitle().split())
