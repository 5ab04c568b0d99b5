from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from kd_monai.metrics import (
    METRICS,
    MORE_COLUMNS,
    MORE_METRICS,
    case_row,
    case_values,
    cases_frame,
    read_cases,
    write_cases,
)
from kd_monai.task import REGIONS


def row(subject: str, value: float, empty_et: bool = False, grade: str | None = "HGG") -> dict[str, object]:
    scores = {metric: {region: value + i / 8 for i, region in enumerate(REGIONS)} for metric in METRICS}
    if empty_et:
        scores["sensitivity"]["ET"] = float("nan")
    return case_row(subject, grade, scores, {"TC": False, "WT": False, "ET": empty_et}, (1, 1, 2.5))


def test_a_written_table_is_read_back_as_it_was(tmp_path: Path) -> None:
    cases = cases_frame([row("NA", 1 / 3), row("007", 0.1, empty_et=True, grade="")])
    write_cases(cases, tmp_path / "cases.csv")
    pd.testing.assert_frame_equal(read_cases(tmp_path / "cases.csv"), cases)
    assert list(cases.subject) == ["007", "NA"]
    assert cases.spacing_mm[0] == "1 x 1 x 2.5"
    assert [file.name for file in tmp_path.iterdir()] == ["cases.csv"]


def test_columns_stand_in_the_documented_order() -> None:
    columns = list(cases_frame([row("a", 0.5)]))
    assert columns[:8] == ["subject", "grade", "dice_TC", "dice_WT", "dice_ET", "hd95_TC", "hd95_WT", "hd95_ET"]
    assert columns[-4:] == ["empty_TC", "empty_WT", "empty_ET", "spacing_mm"]


def test_values_of_a_case() -> None:
    cases = cases_frame([row("a", 0.5), row("b", 0.25, empty_et=True)])
    assert case_values(cases, "dice", "WT").to_dict() == {"a": 0.625, "b": 0.375}
    assert case_values(cases, "dice", "mean").to_dict() == {"a": 0.625, "b": 0.375}
    assert case_values(cases, "dice", "ET_present").dropna().to_dict() == {"a": 0.75}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("dice_WT", "wt"), "dice_WT"),
        (lambda text: text + text.splitlines()[1] + "\n", "repeats a"),
        (lambda text: text.replace("0.5", "half"), "numbers"),
        (lambda text: "", "cannot be read"),
    ],
)
def test_a_broken_table_is_refused_by_name(tmp_path: Path, change: object, message: str) -> None:
    file = tmp_path / "cases.csv"
    write_cases(cases_frame([row("a", 0.5)]), file)
    file.write_text(change(file.read_text()))  # type: ignore[operator]
    with pytest.raises(ValueError, match=message) as caught:
        read_cases(file)
    assert str(file) in str(caught.value)


def test_a_table_of_an_older_evaluation_is_read_without_calibration(tmp_path: Path) -> None:
    file = tmp_path / "cases.csv"
    written = cases_frame([row("a", 0.5)])
    written.drop(columns=MORE_COLUMNS).to_csv(file, index=False)
    cases = read_cases(file)
    assert list(cases) == list(written)
    assert cases[MORE_COLUMNS].isna().all(axis=None)
    assert case_values(cases, "dice", "WT").to_dict() == {"a": 0.625}


def test_calibration_and_chosen_thresholds_come_back(tmp_path: Path) -> None:
    scores = {metric: dict.fromkeys(REGIONS, 0.5) for metric in (*METRICS, *MORE_METRICS)}
    cases = cases_frame([case_row("a", None, scores, dict.fromkeys(REGIONS, True), (1, 1, 1))])
    write_cases(cases, tmp_path / "cases.csv")
    back = read_cases(tmp_path / "cases.csv")
    assert case_values(back, "ece", "TC").to_dict() == {"a": 0.5}
    assert case_values(back, "tuned_dice", "mean").to_dict() == {"a": 0.5}
    assert case_values(back, "tuned_dice", "ET_present").isna().all()
