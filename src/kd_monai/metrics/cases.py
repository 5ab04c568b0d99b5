"""The per-case table, ``cases.csv``, and its summary: scores of each region, and whether its reference is empty."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from kd_monai.atomic import write_bytes
from kd_monai.errors import UserError
from kd_monai.metrics.region_scores import METRICS
from kd_monai.task import REGIONS

MORE_METRICS = ("tuned_dice", "tuned_hd95", "ece", "brier")
"""Dice and HD95 at thresholds chosen on the validation part, and calibration; older tables lack them."""
MORE_COLUMNS = [f"{metric}_{region}" for metric in MORE_METRICS for region in REGIONS]
SCORE_COLUMNS = [f"{metric}_{region}" for metric in METRICS for region in REGIONS] + MORE_COLUMNS
EMPTY_COLUMNS = [f"empty_{region}" for region in REGIONS]
CASE_COLUMNS = ["subject", "grade", *SCORE_COLUMNS, *EMPTY_COLUMNS, "spacing_mm"]
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


def case_row(
    subject: str,
    grade: str | None,
    scores: Mapping[str, Mapping[str, float]],
    empty: Mapping[str, bool],
    spacing_mm: Sequence[float],
) -> dict[str, object]:
    """One row of the table.

    Args:
        subject, grade: of the entry.
        scores: ``{metric: {region: value}}`` of `region_scores`; those of `MORE_METRICS` may be missing.
        empty: ``{region: the reference is empty}``.
        spacing_mm: voxel sides of the grid that was scored.
    """
    row: dict[str, object] = {"subject": subject, "grade": grade}
    row |= {f"{metric}_{region}": scores[metric][region] for metric in METRICS for region in REGIONS}
    row |= {
        f"{metric}_{region}": scores[metric][region] if metric in scores else float("nan")
        for metric in MORE_METRICS
        for region in REGIONS
    }
    row |= {f"empty_{region}": bool(empty[region]) for region in REGIONS}
    return row | {"spacing_mm": " x ".join(f"{side:.4g}" for side in spacing_mm)}


def cases_frame(rows: Iterable[Mapping[str, object]]) -> pd.DataFrame:
    """Rows of `case_row` as a table, sorted by subject."""
    return pd.DataFrame(list(rows), columns=CASE_COLUMNS).sort_values("subject", ignore_index=True)


def write_cases(cases: pd.DataFrame, path: str | Path) -> None:
    """Write the table as CSV: complete or not at all."""
    write_bytes(path, cases.to_csv(index=False, columns=CASE_COLUMNS).encode())


def read_cases(path: str | Path) -> pd.DataFrame:
    """The table that `write_cases` wrote; columns of `MORE_METRICS` that it lacks are NaN.

    Raises:
        UserError: columns are missing, a subject stands there twice, or it is no such CSV.
    """
    remedy = "Evaluate the run again."
    text = dict.fromkeys(("subject", "grade", "spacing_mm"), str)
    try:
        cases = pd.read_csv(
            path,
            dtype=text,
            keep_default_na=False,  # a subject may be called NA
            na_values={column: ["", "nan"] for column in SCORE_COLUMNS},
            float_precision="round_trip",
        )
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise UserError(f"A per-case table is a CSV file; {path} cannot be read as one ({error}). {remedy}") from error
    cases = cases.assign(**{column: float("nan") for column in MORE_COLUMNS if column not in cases})
    missing = [column for column in CASE_COLUMNS if column not in cases and column != "spacing_mm"]
    if missing:
        raise UserError(f"A per-case table has the columns {', '.join(CASE_COLUMNS)}; {path} lacks {missing}. {remedy}")
    repeated = sorted(cases.subject[cases.subject.duplicated()].unique())
    if repeated:
        raise UserError(f"A subject stands once in a per-case table; {path} repeats {', '.join(repeated)}. {remedy}")
    wrong = [column for column in SCORE_COLUMNS if cases[column].dtype.kind not in "fi"]
    wrong += [column for column in EMPTY_COLUMNS if len(cases) and cases[column].dtype.kind != "b"]
    if len(cases) and wrong:
        raise UserError(f"Scores are numbers and empty_* True or False; {path} has other values in {wrong}. {remedy}")
    return cases.reindex(columns=CASE_COLUMNS, fill_value="")


def case_values(cases: pd.DataFrame, metric: str, region: str) -> pd.Series:
    """One value per subject.

    Args:
        cases: per-case table.
        metric: one of `METRICS` or `MORE_METRICS`.
        region: TC, WT, ET; ``mean`` of the three; ``ET_present``: ET, NaN for the cases whose reference has none.

    Returns:
        Indexed by subject; NaN where the score is undefined.
    """
    # a report asks thousands of times: no copy of the whole table
    if region == "mean":
        values = cases[[f"{metric}_{name}" for name in REGIONS]].mean(axis=1, skipna=False)
    elif region == "ET_present":
        values = cases[f"{metric}_ET"].where(~cases["empty_ET"].astype(bool))
    else:
        values = cases[f"{metric}_{region}"]
    return values.set_axis(pd.Index(cases["subject"]))


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
