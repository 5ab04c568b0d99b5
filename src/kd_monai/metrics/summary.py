"""Mean and spread of the per-case scores, with the count of empty references beside them."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from kd_monai.metrics.cases import EMPTY_COLUMNS, MORE_METRICS, case_values
from kd_monai.metrics.region_scores import METRICS
from kd_monai.task import REGIONS

SUMMARY_ROWS = (
    *((metric, region) for metric in METRICS for region in REGIONS),
    ("dice", "mean"),
    ("dice", "ET_present"),
    ("hd95", "ET_present"),
)
"""(metric, region) of every row of a summary; see `case_values` for ``mean`` and ``ET_present``."""
MORE_ROWS = (
    *((metric, region) for metric in MORE_METRICS for region in REGIONS),
    ("tuned_dice", "mean"),
    ("tuned_dice", "ET_present"),
    ("tuned_hd95", "ET_present"),
)
"""The same of `MORE_METRICS`."""


def summarise(cases: pd.DataFrame, rows_of: Sequence[tuple[str, str]] = SUMMARY_ROWS) -> pd.DataFrame:
    """Aggregate a per-case table.

    Args:
        cases: as `cases_frame` gives it.
        rows_of: (metric, region) of each row.

    Returns:
        A row per entry of `rows_of`: metric, region, mean, std (of the sample, ``n - 1``; NaN for one case), n
        (cases with a defined score) and n_empty (cases whose reference lacks the region; for ``mean``, any region). In
        the row ``ET_present`` those n_empty cases are left out of n.
    """
    rows = []
    for metric, region in rows_of:
        values = case_values(cases, metric, region).dropna()
        if region == "mean":
            empty = cases[EMPTY_COLUMNS].any(axis=1)
        else:
            empty = cases[f"empty_{region.removesuffix('_present')}"]
        rows.append((metric, region, values.mean(), values.std(), len(values), int(empty.sum())))
    return pd.DataFrame(rows, columns=["metric", "region", "mean", "std", "n", "n_empty"])
