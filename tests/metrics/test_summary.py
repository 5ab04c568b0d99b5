from __future__ import annotations

import numpy as np
import pytest

from kd_monai.metrics import METRICS, case_row, cases_frame, summarise
from kd_monai.task import REGIONS

ET_DICE = [1.0, 0.0, 0.5, 0.75]
ET_EMPTY = [True, True, False, False]


def table() -> dict[tuple[str, str], dict[str, float]]:
    rows = []
    for i, (dice, empty) in enumerate(zip(ET_DICE, ET_EMPTY, strict=True)):
        scores = {metric: dict.fromkeys(REGIONS, 0.5) for metric in METRICS}
        scores["dice"]["ET"] = dice
        scores["sensitivity"]["ET"] = float("nan") if empty else 0.5
        flags = {"TC": False, "WT": False, "ET": empty}
        rows.append(case_row(str(i), None, scores, flags, (1, 1, 1)))
    return summarise(cases_frame(rows)).set_index(["metric", "region"]).to_dict("index")


def test_mean_and_sample_std() -> None:
    row = table()["dice", "ET"]
    assert row["mean"] == pytest.approx(np.mean(ET_DICE))
    assert row["std"] == pytest.approx(np.std(ET_DICE, ddof=1))
    assert (row["n"], row["n_empty"]) == (4, 2)


def test_enhancing_tumour_over_the_cases_that_have_it() -> None:
    row = table()["dice", "ET_present"]
    assert row["mean"] == pytest.approx(0.625)
    assert (row["n"], row["n_empty"]) == (2, 2)


def test_undefined_sensitivity_is_excluded_and_counted() -> None:
    assert (table()["sensitivity", "ET"]["n"], table()["sensitivity", "ET"]["mean"]) == (2, 0.5)
    assert table()["specificity", "ET"]["n"] == 4


def test_mean_dice_is_the_mean_over_regions_of_each_case() -> None:
    row = table()["dice", "mean"]
    assert row["mean"] == pytest.approx(np.mean([(1 + value) / 3 for value in ET_DICE]))
    assert row["std"] == pytest.approx(np.std([value / 3 for value in ET_DICE], ddof=1))
    assert row["n_empty"] == 2


def test_every_metric_has_every_region() -> None:
    assert {(metric, region) for metric in METRICS for region in REGIONS} < set(table())
