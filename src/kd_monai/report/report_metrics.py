"""What the parent run of a study is told of a report."""

from __future__ import annotations

import re

import pandas as pd

from kd_monai.report.rows import ENDPOINT
from kd_monai.runs.read import COSTS

_ALL_OF = ("mean", "diff", "ci_low", "ci_high", "p_wilcoxon", "p_holm", "wins", "losses", "ties", "gap_closed")


def report_metrics(rows: pd.DataFrame) -> dict[str, float]:
    """``report/<arm>_<modality>/<metric>_<region>/<column>`` of a study's report, as far as it is defined.

    Every column of the primary endpoint; the difference and its bounds of calibration and of scores at chosen
    thresholds; the mean of the costs. Where the study has several settings, ``<arm>_<modality>_<setting>``. What else
    stands in ``report.csv`` the comparison tells (`parent_metrics`).
    """
    metrics = {}
    several = rows.setting.nunique() > 1
    for row in rows.to_dict("records"):
        if row["region"] == ENDPOINT:
            columns: tuple[str, ...] = _ALL_OF
        elif row["metric"] in COSTS:
            columns = ("mean",)
        elif row["metric"] in ("ece", "brier", "tuned_dice"):
            columns = ("diff", "ci_low", "ci_high")
        else:
            continue
        # settings in an arm's name hold signs that MLflow does not take
        arm = re.sub(r"[^\w.-]+", "-", f"{row['arm']}", flags=re.ASCII).strip("-")
        place = row["modality"] + (f"_{row['setting'][:4]}" if several else "")
        what = f"{row['metric']}_{row['region']}" if row["region"] else row["metric"]
        for column in columns:
            value = pd.to_numeric(row[column], errors="coerce")
            if pd.notna(value):
                metrics[f"report/{arm[:100]}_{place}/{what}/{column}"] = float(value)
    return metrics
