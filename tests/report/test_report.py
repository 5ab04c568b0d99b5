"""The proof of a study, from folders of evaluated runs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from fake_runs import subjects_of, write_journal, write_run
from matplotlib.image import imread
from scipy.stats import wilcoxon
from tiny import command

from kd_monai.metrics import case_values, endpoint, read_cases
from kd_monai.report.comparable import comparable_runs
from kd_monai.report.figures import curves_of
from kd_monai.report.figures.curves import Curves
from kd_monai.report.findings import findings, label_efficiency_findings
from kd_monai.report.label_efficiency import label_efficiency, labelled_runs
from kd_monai.report.publish import END, comparison_metrics, report_metrics, write_results
from kd_monai.report.report import report, results
from kd_monai.report.rows import report_rows
from kd_monai.report.tables import Table, overview_tables
from kd_monai.runs.read import find_runs
from kd_monai.tracking import Tracker
from kd_monai.tracking.journal import check_name

LIFTS = {"baseline": 0.0, "kdnet": 0.05, "hinton": 0.0}
REGIONS = ("WT", "TC", "ET_present")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two modalities, two folds, two seeds; the baseline on FLAIR is as good as the teacher."""
    out = tmp_path_factory.mktemp("study")
    for fold in (0, 1):
        for seed in (0, 1):
            teacher = write_run(out, "teacher", fold=fold, seed=seed, lift=0.04)
            write_journal(teacher, [0.3], [600.0], dice=[0.5, 0.7 + 0.1 * fold])
            for modality in ("t1ce", "flair"):
                for method, lift in LIFTS.items():
                    folder = write_run(out, method, modality, fold, seed, lift)
                    write_journal(
                        folder, [0.2 + lift] * 3, [500.0 + 1000 * lift] * 3, dice=[0.3 + lift, 0.4 + 0.1 * fold]
                    )
    return out


class Written(NamedTuple):
    """A report, and what it wrote."""

    text: str
    rows: pd.DataFrame
    folder: Path

    @property
    def said(self) -> str:
        """The text without its line breaks."""
        return " ".join(self.text.split())

    @property
    def names(self) -> list[str]:
        """Files that it says it wrote."""
        return self.text.splitlines()[-1].split(": ")[1].split(", ")


def written(out: Path) -> Written:
    text = report(out)
    rows = pd.read_csv(out / "report" / "report.csv", keep_default_na=False, na_values=[""])
    return Written(text, rows.fillna({"region": "", "by_seed": ""}), out / "report")


@pytest.fixture(scope="module")
def found(out: Path) -> Written:
    return written(out)


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables alone: drawing takes longest."""
    monkeypatch.setattr("kd_monai.report.figures.draw_figures", lambda *_: [])


def values(out: Path, method: str, modality: str, metric: str = "dice") -> pd.DataFrame:
    """Per subject the endpoint's regions, seeds averaged by pandas."""
    cases = [read_cases(file) for file in out.glob(f"{method}_{modality}-*/cases.csv")]
    columns = [pd.concat([case_values(table, metric, region) for table in cases]) for region in REGIONS]
    return pd.concat([column.groupby(level=0).mean() for column in columns], axis=1)


def row_of(rows: pd.DataFrame, arm: str, modality: str, metric: str = "dice", region: str = "endpoint") -> Any:
    kept = rows[(rows.arm == arm) & (rows.modality == modality) & (rows.metric == metric) & (rows.region == region)]
    (row,) = kept.to_dict("records")
    return row


def test_the_endpoint_over_modalities_is_that_of_the_files(out: Path, found: Written) -> None:
    own, base = (
        np.stack([values(out, method, modality) for modality in ("t1ce", "flair")], axis=1)
        for method in ("kdnet", "baseline")
    )
    row = row_of(found.rows, "kdnet", "all")
    assert row["mean"] == pytest.approx(endpoint(own))
    assert row["diff"] == pytest.approx(endpoint(own) - endpoint(base))
    assert row["ci_low"] < row["diff"] < row["ci_high"]
    assert (row["n"], row["n_empty"], row["n_paired"]) == (16, 4, 16)
    assert (row["over"], row["folds"], row["seeds"], row["n_train"]) == ("t1ce flair", "0 1", "0 1", 14)
    per_subject = (np.nanmean(own, axis=2) - np.nanmean(base, axis=2)).mean(axis=1)
    assert row["p_wilcoxon"] == pytest.approx(wilcoxon(per_subject.round(12)).pvalue)
    assert (row["wins"], row["losses"], row["ties"]) == ((per_subject > 0).sum(), (per_subject < 0).sum(), 0)


def test_the_endpoint_of_one_modality_is_its_own(out: Path, found: Written) -> None:
    own = values(out, "kdnet", "t1ce").mean()
    assert row_of(found.rows, "kdnet", "t1ce")["mean"] == pytest.approx(own.mean())
    # over the cases that have it, not over all
    assert row_of(found.rows, "kdnet", "t1ce", region="ET_present")["mean"] == pytest.approx(own.iloc[2])


def test_p_is_corrected_over_the_methods_of_a_family(found: Written) -> None:
    students = found.rows[(found.rows.role == "student") & found.rows.p_wilcoxon.notna()]
    families = [family for _, family in students.groupby(["modality", "metric", "region"])]
    assert len(families) > 50
    for family in families:
        p = family.p_wilcoxon.astype(float).sort_values()
        assert len(p) == 2
        corrected = family.p_holm[p.index].astype(float)
        assert corrected.iloc[0] == pytest.approx(min(1, 2 * p.iloc[0]))
        assert corrected.iloc[1] == pytest.approx(min(1, max(2 * p.iloc[0], p.iloc[1])))
    assert found.rows[found.rows.role != "student"].p_holm.isna().all()


def test_calibration_and_costs_have_rows(found: Written) -> None:
    assert row_of(found.rows, "kdnet", "t1ce", "ece", "WT")["ci_high"] < 0
    # lower is better: most subjects win
    assert row_of(found.rows, "kdnet", "t1ce", "brier", "TC")["wins"] > 12
    assert row_of(found.rows, "kdnet", "t1ce", "seconds_per_step", "")["mean"] == pytest.approx(0.25)
    assert row_of(found.rows, "kdnet", "t1ce", "peak_memory_mib", "")["mean"] == pytest.approx(550)


def test_a_teachers_calibration_is_of_other_voxels_and_not_compared(found: Written) -> None:
    teacher, student = (row_of(found.rows, arm, "t1ce", "ece", "WT") for arm in ("teacher", "kdnet"))
    assert teacher["mean"] > 0
    assert np.isnan(teacher["diff"])
    assert student["diff"] < 0
    assert np.isnan(student["teacher_diff"])
    assert pd.isna(student["gap_closed"])
    assert row_of(found.rows, "teacher", "t1ce", region="WT")["diff"] > 0


def test_notes_say_what_calibration_holm_and_memory_are_of(found: Written) -> None:
    assert "A teacher sees another brain mask" in found.said
    assert "correction over the methods of this table" in found.said
    assert "earlier runs of the same process" in found.said


def test_training_curves_stand_beside_the_teachers_in_every_modality(out: Path) -> None:
    (group,) = comparable_runs(find_runs(out)[0])
    figure = Curves().draw(Curves().data(curves_of(group)), "")
    assert [axis.get_title() for axis in figure.axes] == ["T1ce", "FLAIR"]
    assert len({axis.get_ylim() for axis in figure.axes}) == 1  # the teacher's line is the same in all
    assert [text.get_text() for text in figure.legends[0].texts] == ["teacher", "baseline", "hinton", "kdnet"]
    for axis in figure.axes:
        lines = {str(line.get_label()): line for line in axis.lines if not str(line.get_label()).startswith("_")}
        assert list(lines) == ["teacher", "baseline", "hinton", "kdnet"]
        assert len(axis.lines) == 4 * (4 + 1)  # two folds of two seeds, and their mean
        np.testing.assert_allclose(lines["teacher"].get_xydata(), [[2, 50], [4, 75]])
        np.testing.assert_allclose(lines["kdnet"].get_ydata(), [35, 45])


def test_a_run_that_is_missing_is_named_though_folds_and_seeds_are_the_same(tmp_path: Path) -> None:
    for fold, seed in ((0, 0), (0, 1), (1, 0), (1, 1)):
        write_run(tmp_path, "baseline", fold=fold, seed=seed, n=2)
        if (fold, seed) != (1, 1):
            write_run(tmp_path, "teacher", fold=fold, seed=seed, n=2)
            write_run(tmp_path, "kdnet", fold=fold, seed=seed, n=2)
    (group,) = comparable_runs(find_runs(tmp_path)[0])
    rows = report_rows(group)
    assert row_of(rows, "kdnet", "t1ce", "dice", "endpoint")["by_seed"] == ""  # seed 1 has half of the subjects
    (said,) = [finding for finding in findings(rows) if finding.startswith("Unfinished")]
    assert "on t1ce: teacher lacks fold 1 seed 1; kdnet lacks fold 1 seed 1." in said


def test_an_interval_with_zero_in_it_is_put_in_words(found: Written) -> None:
    row = row_of(found.rows, "hinton", "all")
    assert row["ci_low"] < 0 < row["ci_high"]
    (unclear,) = [word for word in findings(found.rows) if word.startswith("No significant") and " over " in word]
    assert "over t1ce and flair: hinton " in unclear
    assert "kdnet" not in unclear
    assert "kdnet over t1ce and flair: better than the baseline in the primary endpoint, +" in found.said


def test_each_seed_has_a_difference_of_its_own(out: Path, found: Written) -> None:
    expected = []
    for seed in (0, 1):
        tables = {}
        for method in ("kdnet", "baseline"):
            files = [
                file for file in out.glob(f"{method}_t1ce-*/cases.csv")
                if json.loads((file.parent / "run.json").read_text())["seed"] == seed
            ]  # fmt: skip
            tables[method] = pd.concat([pd.read_csv(file) for file in files]).set_index("subject").sort_index()
        difference = tables["kdnet"].filter(like="dice_") - tables["baseline"].filter(like="dice_")
        present = ~tables["kdnet"].empty_ET.astype(bool)
        means = [difference.dice_WT.mean(), difference.dice_TC.mean(), difference.dice_ET[present].mean()]
        expected.append(float(np.mean(means)))
    row = row_of(found.rows, "kdnet", "t1ce", "dice", "endpoint")
    told = dict(part.split(":") for part in row["by_seed"].split())
    assert list(told) == ["0", "1"]
    assert [float(value) for value in told.values()] == pytest.approx(expected, abs=1e-5)
    assert expected[0] != pytest.approx(expected[1], abs=1e-4)
    assert row_of(found.rows, "kdnet", "all", "dice", "endpoint")["by_seed"].count(":") == 2
    assert f"| 0: {100 * expected[0]:+.1f}, 1: {100 * expected[1]:+.1f} |" in found.said


def test_where_the_teacher_is_no_better_there_is_a_warning_and_no_gap(found: Written) -> None:
    warnings = [finding for finding in findings(found.rows) if finding.startswith("Warning")]
    assert [" on flair in " in warning for warning in warnings] == [True]
    assert row_of(found.rows, "kdnet", "flair")["gap_closed"] == "undefined"
    assert 0.3 < float(row_of(found.rows, "kdnet", "t1ce")["gap_closed"]) < 1


def test_it_states_n_resolution_folds_seeds_and_hardware(out: Path, found: Written) -> None:
    facts = (
        "n = 16 test subjects, trained at 2 mm, scored at 1 x 1 x 1 mm, folds 0, 1 of 3, seeds 0, 1; A Processor, 1 "
        "thread a run."
    )
    for text in (found.text, (found.folder / "report.md").read_text(), results(out)):
        assert facts in " ".join(text.split())


def test_prose_fits_100_columns(found: Written) -> None:
    assert max(len(line) for line in found.text.splitlines()[:-1] if not line.startswith("| ")) <= 104


def test_files_are_written_and_the_figures_can_be_read(found: Written) -> None:
    names = ["report.md", "report.csv", "forest.png", "dice.png", "curves.png"]
    assert found.names == names
    assert all((found.folder / name).is_file() for name in names)
    for file in (found.folder / name for name in names[2:]):
        picture = imread(file)
        assert min(picture.shape[:2]) > 300
        assert picture[..., :3].std() > 0.05  # something is drawn
        assert f"![{file.stem}]({file.name})" in (found.folder / "report.md").read_text()


def test_reporting_twice_gives_the_same_table(tmp_path: Path, no_figures: None) -> None:
    write_run(tmp_path, "baseline")
    write_run(tmp_path, "kdnet", lift=0.01)
    first = report(tmp_path)
    table = (tmp_path / "report" / "report.csv").read_bytes()
    assert report(tmp_path) == first
    assert (tmp_path / "report" / "report.csv").read_bytes() == table


def test_parent_metrics_have_names_that_mlflow_takes(found: Written) -> None:
    metrics = report_metrics(found.rows)
    assert metrics["report/kdnet_all/dice_endpoint/diff"] == pytest.approx(row_of(found.rows, "kdnet", "all")["diff"])
    assert metrics["report/kdnet_t1ce/seconds_per_step/mean"] == pytest.approx(0.25)
    assert "report/hinton_flair/ece_WT/ci_low" in metrics
    assert "report/kdnet_flair/dice_endpoint/gap_closed" not in metrics
    assert all(map(check_name, metrics))
    odd = found.rows[found.rows.arm == "kdnet"].assign(arm="kdnet (terms#kl#weight=0.5, width=12)")
    assert all(map(check_name, report_metrics(odd)))


def test_the_studys_parent_run_is_told_and_given_the_files(
    tmp_path: Path, no_figures: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tracker, "_launch", lambda self: None)
    write_run(tmp_path, "baseline")
    folder = write_run(tmp_path, "kdnet", lift=0.05)
    write_journal(folder, [0.5], [700.0])
    report(tmp_path)
    (comparable,) = comparable_runs(find_runs(tmp_path)[0])
    rows = report_rows(comparable)
    told = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    told = [line for line in told if line.get("parent")]
    (metrics,) = [line["values"] for line in told if line["op"] == "metrics"]
    assert metrics == comparison_metrics(rows) | report_metrics(rows)
    assert [(line["path"], line["to"]) for line in told if line["op"] == "artifact"] == [
        (str(tmp_path / "report" / name), "report") for name in ("report.md", "report.csv")
    ]


def test_a_study_that_is_not_finished_is_reported_as_far_as_it_is(tmp_path: Path, no_figures: None) -> None:
    for modality in ("t1", "t1ce"):
        write_run(tmp_path, "baseline", modality)
    write_run(tmp_path, "kdnet", "t1", lift=0.05)
    write_run(tmp_path, "hinton", "t1ce", extra=False)
    unscored = write_run(tmp_path, "kdnet", "t1ce")
    (unscored / "cases.csv").unlink()
    write_run(tmp_path, "baseline", "t1", seed=1)
    text = " ".join(report(tmp_path).split())
    assert f"{unscored.name} has no cases.csv and is left out: evaluate it" in text
    assert "Unfinished on t1: kdnet lacks fold 0 seed 1." in text
    assert "Missing: an evaluated teacher on t1" in text
    assert "hinton (t1ce) has no calibration" in text
    assert "kdnet on t1: better" in text
    assert "kdnet over t1" not in text


def test_a_seed_without_calibration_leaves_the_mean_over_seeds_open(tmp_path: Path, no_figures: None) -> None:
    write_run(tmp_path, "baseline", seed=0)
    write_run(tmp_path, "baseline", seed=1, extra=False)
    rows = written(tmp_path).rows
    assert "ece" not in set(rows.metric)
    assert row_of(rows, "baseline", "t1ce")["seeds"] == "0 1"


def test_students_over_other_modalities_are_not_compared_in_silence(tmp_path: Path, no_figures: None) -> None:
    for modality in ("t1", "t1ce", "t2"):
        write_run(tmp_path, "baseline", modality)
        write_run(tmp_path, "kdnet", modality)
    for modality in ("t1", "t2"):
        write_run(tmp_path, "hinton", modality)
    text = " ".join(report(tmp_path).split())
    assert "| hinton (t1, t2) |" in text
    assert "Primary endpoint on t1, t1ce, t2:" in text
    assert "fewer modalities: hinton (t1, t2)" in text


def test_a_method_of_two_settings_is_two_arms(tmp_path: Path, no_figures: None) -> None:
    write_run(tmp_path, "baseline")
    for weight in (0.1, 0.2):
        write_run(tmp_path, "kdnet", settings={"terms": {"kl": {"weight": weight}}})
    arms = set(written(tmp_path).rows.arm)
    assert arms == {"baseline", "kdnet (terms#kl#weight=0.1)", "kdnet (terms#kl#weight=0.2)"}


def test_teachers_alone_and_an_empty_folder_are_errors_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="make student"):
        report(tmp_path)
    write_run(tmp_path, "teacher")
    with pytest.raises(ValueError, match="make baseline"):
        report(tmp_path)


@pytest.fixture(scope="module")
def arms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven subjects and a teacher do what fourteen do without; four do not."""
    out = tmp_path_factory.mktemp("arms")
    for n, loss in ((None, 0.0), (7, 0.05), (4, 0.2)):
        for modality in ("t1", "t2"):
            write_run(out, "baseline", modality, lift=-loss, n_subjects=n)
            write_run(out, "kdnet", modality, lift=0.08 - loss, n_subjects=n, teacher_key=f"teacher-{n}")
        write_run(out, "teacher", n_subjects=n, run_key=f"teacher-{n}")
    return out


def test_label_efficiency_is_the_fewest_that_match_the_full_baseline(arms: Path) -> None:
    rows = label_efficiency(labelled_runs(comparable_runs(find_runs(arms)[0])))
    own = rows[(rows.arm == "kdnet") & (rows.modality == "all")].set_index("n_train")
    assert (own.n_full == 14).all()
    assert (own["diff"] >= 0).to_dict() == {14: True, 7: True, 4: False}
    base = np.stack([values(arms, "baseline", modality).loc[subjects_of(0, 8)] for modality in ("t1", "t2")], axis=1)
    assert base.shape == (8, 2, 3)
    full = rows[(rows.arm == "baseline") & (rows.modality == "all") & (rows.n_train == 14)]
    assert full[["diff", "ci_low", "ci_high"]].to_numpy().tolist() == [[0, 0, 0]]
    finding = label_efficiency_findings(rows)[0]
    assert finding.startswith("kdnet over t1 and t2 with 7 labelled subjects matches the baseline with all 14, +")


def test_one_number_of_subjects_has_no_curve(out: Path) -> None:
    rows = label_efficiency(labelled_runs(comparable_runs(find_runs(out)[0])))
    assert rows.empty
    assert label_efficiency_findings(rows) == []


def test_arms_of_other_numbers_of_subjects_are_drawn_and_kept_apart(arms: Path) -> None:
    found = written(arms)
    names = set(found.names)
    assert {"gain.png", "label_efficiency.png", "label_efficiency.csv"} < names
    assert "Label efficiency on all modalities: primary endpoint in %" in found.text
    assert re.search(r"\| kdnet +\| +7 \|", (found.folder / "report.md").read_text())
    assert sum(name.startswith("forest-study") for name in names) == 3
    assert len(found.rows[(found.rows.arm == "kdnet") & (found.rows.modality == "all")].configuration.unique()) == 3
    headings = [line for line in found.text.splitlines() if line.startswith("## ")]
    assert headings[0] == "## Recipe study"  # all subjects first


def test_figures_of_an_earlier_report_do_not_stay(tmp_path: Path) -> None:
    write_run(tmp_path, "baseline")
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "gain.png").write_bytes(b"old")
    report(tmp_path)
    assert not (tmp_path / "report" / "gain.png").exists()


def test_figures_of_two_data_sets_have_names_of_their_own(tmp_path: Path) -> None:
    for data in ("a" * 64, "b" * 64):
        write_run(tmp_path, "baseline", data_digest=data)
    names = written(tmp_path).names
    assert sum(name.startswith("dice-study") for name in names) == 2
    assert len(set(names)) == len(names)


BEGIN = "<!-- study results: make report README=README.md -->"


def test_readme_keeps_what_stands_around_the_results(tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    file.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_results(file, "new\\1", Path("runs"))
    assert file.read_text() == f"before\n{BEGIN}\n\nnew\\1\n\n{END}\nafter\n"
    for broken in ("nothing", f"{END}{BEGIN}", f"{BEGIN}{BEGIN}{END}", f"{BEGIN}{END}{BEGIN}{END}"):
        file.write_text(broken)
        with pytest.raises(ValueError, match="once each") as caught:
            write_results(file, "new", Path("runs"))
        assert str(file) in str(caught.value)
        assert file.read_text() == broken


def test_readme_has_a_place_for_each_study(tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    first, second = (BEGIN.replace(" README", f" OUT=runs/{name} README") for name in ("cpu", "gpu"))
    file.write_text(f"{first}{END}\nbetween\n{second}{END}\n")
    write_results(file, "of the GPU", Path("runs/gpu"))
    write_results(file, "of the CPU", Path("runs/cpu"))
    assert file.read_text() == f"{first}\n\nof the CPU\n\n{END}\nbetween\n{second}\n\nof the GPU\n\n{END}\n"
    with pytest.raises(ValueError, match="OUT=runs/third"):
        write_results(file, "of a third", Path("runs/third"))
    write_results(file, "of the GPU again", (tmp_path / "runs" / "gpu" / ".." / "gpu").relative_to(tmp_path))
    assert file.read_text() == f"{first}\n\nof the CPU\n\n{END}\nbetween\n{second}\n\nof the GPU again\n\n{END}\n"
    file.write_text(f"{first}{END}{BEGIN}{END}")
    write_results(file, "of a third", Path("runs/third"))
    assert file.read_text() == f"{first}{END}{BEGIN}\n\nof a third\n\n{END}"


def test_readmes_results_hold_dice_per_region_and_the_minutes_of_a_run(tmp_path: Path) -> None:
    folder = write_run(tmp_path, "baseline")
    write_journal(folder, [0.25], [900])
    (folder / "durations.json").write_text('{"training": 300, "wall": 450}')
    found = written(tmp_path)
    dice = [
        100 * row_of(found.rows, "baseline", "t1ce", "dice", region)["mean"] for region in ("TC", "WT", "ET_present")
    ]
    text = " ".join(results(tmp_path).split())
    assert f"| baseline | {' / '.join(f'{value:.1f}' for value in dice)} |" in text
    assert "| baseline | 0.250 | 1.00 | 900 | 1.00 | 7.5 |" in text
    assert "HD95" not in text


def test_readmes_results_have_a_row_for_an_arm_and_a_column_for_a_modality(out: Path, found: Written) -> None:
    (table,) = [table for table in overview_tables(found.rows) if "on each modality" in table.title]
    assert list(table.frame) == ["t1ce", "flair"]
    for modality, cell in table.frame.loc["kdnet"].items():
        row = row_of(found.rows, "kdnet", modality)
        text = f"{100 * row['diff']:+.1f} [{100 * row['ci_low']:+.1f}, {100 * row['ci_high']:+.1f}]"
        assert cell == text + "*" * (row["p_holm"] < 0.05)
    assert "kdnet over t1ce and flair: " in results(out)
    assert "kdnet on t1ce: " not in results(out)


def test_readmes_results_leave_nothing_out_and_invent_nothing(tmp_path: Path, no_figures: None) -> None:
    for modality in ("t1ce", "flair"):
        write_run(tmp_path, "hinton", modality)
    without_baseline = results(tmp_path)
    assert "Primary endpoint on t1ce" in without_baseline
    assert "Primary endpoint on flair" in without_baseline
    assert "Primary endpoint on each modality" not in without_baseline
    assert "Cost of a training" not in without_baseline  # no journal tells
    for modality in ("t1ce", "flair"):
        write_run(tmp_path, "baseline", modality)
    write_run(tmp_path, "kdnet", "flair", lift=0.05)
    text = " ".join(results(tmp_path).split())
    assert "over t1ce and flair: hinton" in text
    assert "on flair: hinton" not in text
    assert "- kdnet on flair: better" in text  # it has no other


def test_a_region_without_a_score_keeps_its_place(found: Written) -> None:
    lacking = (found.rows.arm == "kdnet") & (found.rows.region == "TC")
    tables = overview_tables(found.rows[~lacking])
    (table,) = [table for table in tables if table.title.startswith("Dice in %: TC / WT / ET present")]
    cells = {arm: others for arm, *others in table.frame.itertuples()}
    whole = 100 * row_of(found.rows, "kdnet", "t1ce", "dice", "WT")["mean"]
    assert cells["kdnet"][0].startswith(f"– / {whole:.1f} / ")
    assert "–" not in cells["baseline"][0]


def test_results_that_are_shown_name_the_command_that_writes_them() -> None:
    name = "docs/results.md"
    text = (Path(__file__).parents[2] / name).read_text()
    places = re.findall(r"<!-- study results: make report OUT=(\S+) README=(\S+) -->", text)
    assert [readme for _, readme in places] == [name] * text.count(END) != []
    for out, _ in places:
        assert f"make report OUT={out} README={name}\n" in text  # the command stands there for a reader, too


def test_the_command_prints_writes_and_fills_a_readme(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command("report", [f"OUT={tmp_path}"]) == 2
    assert "make student" in capsys.readouterr().err
    write_run(tmp_path, "baseline")
    write_run(tmp_path, "kdnet", lift=0.05)
    readme = tmp_path / "README.md"
    readme.write_text(f"{BEGIN}{END}")
    assert command("report", [f"OUT={tmp_path}", f"README={readme}"]) == 0
    assert "Primary endpoint on t1ce" in capsys.readouterr().out
    assert "| kdnet " in readme.read_text()


def test_rows_say_which_group_they_belong_to(found: Written) -> None:
    assert found.rows.configuration.nunique() == 1
    assert set(found.rows.data_digest) == {"d" * 64}
    assert set(found.rows.recipe) == {"study"}


def test_a_table_is_padded_and_escaped() -> None:
    frame = pd.DataFrame({"one": ["1", "333"], "two": ["22", ""]}, index=["a|b", "c"])
    assert Table("Title", frame).lines() == [
        "|      | one | two |",
        "| ---- | --: | --: |",
        "| a\\|b |   1 |  22 |",
        "| c    | 333 |     |",
    ]
