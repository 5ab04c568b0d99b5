"""The one data frame of a report: a row per arm, modality, metric and region."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from kd_monai.metrics import MORE_ROWS, SUMMARY_ROWS, holm, summarise
from kd_monai.report.arms import FIXED_MASK, Arm, Comparison, arms_of, compare_scores, compare_with_fixed_mask
from kd_monai.report.comparable import STUDY_KEYS, ComparableRuns
from kd_monai.report.endpoint import arms_endpoint, differences_by_seed
from kd_monai.report.pooled import PooledRuns
from kd_monai.runs.read import COSTS, run_cost

ALL = "all"
"""Modality of the rows over all modalities."""
ENDPOINT = "endpoint"
"""Region of the rows of the primary endpoint."""

COLUMNS = [
    "arm", "role", "method", "modality", "over", "metric", "region", "mean", "std", "n", "n_empty", "diff", "ci_low",
    "ci_high", "n_paired", "p_wilcoxon", "p_holm", "wins", "losses", "ties", "by_seed", "gap_closed", "teacher_diff",
    "teacher_ci_low", "teacher_ci_high", "mean_low", "mean_high", "n_fixed_mask", "fixed_mask", "n_train", "folds",
    "seeds", "runs", *STUDY_KEYS, "configuration", "variant",
]  # fmt: skip
COMPARISON_COLUMNS = [
    "role", "method", "modality", "region", "metric", "mean", "std", "n", "n_empty", "diff", "ci_low", "ci_high",
    "gap_closed", "n_paired", "teacher_diff", "teacher_ci_low", "teacher_ci_high", "folds", "seeds", *STUDY_KEYS,
    "configuration", "variant",
]  # fmt: skip
_COUNTS = ["n", "n_empty", "n_paired", "wins", "losses", "ties", "n_fixed_mask"]


def report_rows(comparable: ComparableRuns) -> pd.DataFrame:
    """All scores, comparisons and costs of comparable runs; cells that are unknown or do not apply are empty.

    | columns | meaning |
    | --- | --- |
    | ``mean``, ``std``, ``n``, ``n_empty`` | see `kd_monai.metrics.summarise`; of costs, over runs |
    | ``diff``, ``ci_low``, ``ci_high``, ``n_paired`` | paired difference to the baseline of the modality |
    | ``p_wilcoxon``, ``wins``, ``losses``, ``ties`` | on the same subjects |
    | ``p_holm`` | corrected over the methods of one modality, metric and region |
    | ``teacher_*`` | teacher minus baseline on the student's subjects |
    | ``gap_closed`` | share of the teacher's lead; ``undefined`` if the teacher is not shown to be better |
    | ``by_seed`` | of the endpoint, ``<seed>:<diff>`` for each of several seeds |
    | ``mean_low``, ``mean_high`` | interval of a student's mean Dice, on the subjects of the fixed mask |
    | ``n_fixed_mask``, ``fixed_mask`` | number of these subjects, and the mean Dice of the fixed mask on them |
    | ``over`` | modalities of a mean; modality ``all`` is over several |
    | ``n_train`` | labelled training subjects, the mean over folds |
    | ``runs`` | ``<fold>/<seed>`` of each run |
    | ``configuration``, ``variant`` | digest of what student and baseline share, and of all that a run trains with |
    """
    arms = arms_of(comparable)
    fixed_mask = next((pooled for pooled in comparable.pooled if pooled.role == "fixed_mask"), None)
    rows: list[dict[str, Any]] = []
    for arm in arms:
        shared = _described(comparable, [arm])
        for row in _scores(shared, arm.pooled):
            if (comparison := compare_scores(arm, row["metric"], row["region"])) is not None:
                row |= _compared(comparison)
            against = compare_with_fixed_mask(arm, fixed_mask)
            if against is not None and (row["metric"], row["region"]) == ("dice", "mean"):
                interval, mask = against
                row |= {"mean_low": interval.low, "mean_high": interval.high}
                row |= {"n_fixed_mask": interval.n, "fixed_mask": mask}
            rows.append(row)
        rows += [{**shared, **cost} for cost in _costs(arm.pooled)]
    if fixed_mask is not None:
        rows += _scores(_described(comparable, [Arm(FIXED_MASK, fixed_mask.modality, fixed_mask)]), fixed_mask)
    for together in _over_modalities(arms):
        shared = _described(comparable, together)
        for metric in ("dice", "tuned_dice"):
            result = arms_endpoint(together, metric)
            if result is not None:
                row = {**shared, "metric": metric, "region": ENDPOINT, "mean": result.mean, "std": result.std}
                row |= {"n": result.n, "n_empty": result.n_empty}
                by_seed = differences_by_seed(together, metric)
                row["by_seed"] = " ".join(f"{seed}:{diff:.6g}" for seed, diff in by_seed.items())
                rows.append(row | (_compared(result.comparison) if result.comparison else {}))
    return _corrected(pd.DataFrame(rows, columns=COLUMNS).astype(dict.fromkeys(_COUNTS, "Int64")))


def comparison_of(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of ``comparison.csv``: single modalities and `SUMMARY_ROWS` alone."""
    wanted = pd.MultiIndex.from_frame(rows[["metric", "region"]]).isin(SUMMARY_ROWS)
    return rows.loc[wanted & (rows.modality != ALL), COMPARISON_COLUMNS]


def widest(rows: pd.DataFrame) -> str:
    """The most modalities that a mean of these rows is over; empty without rows."""
    return max(rows.over, key=lambda over: len(over.split()), default="")


def contains_zero(row: Any) -> bool:
    """Whether the interval of a row includes zero; true for an undefined interval."""
    return not (row["ci_low"] > 0 or row["ci_high"] < 0)


def _described(comparable: ComparableRuns, arms: Sequence[Arm]) -> dict[str, Any]:
    first = arms[0]
    runs = [run for arm in arms for run in arm.pooled.runs]
    folds, seeds = (sorted({str(run.record[name]) for run in runs}) for name in ("fold", "seed"))
    return {
        "arm": first.name,
        "role": first.role,
        "method": first.pooled.method,
        "modality": first.modality if len(arms) == 1 else ALL,
        "over": " ".join(arm.modality for arm in arms),
        "n_train": float(np.mean([arm.n_train for arm in arms])),
        "folds": " ".join(folds),
        "seeds": " ".join(seeds),
        "runs": " ".join(sorted({f"{run.record['fold']}/{run.record['seed']}" for run in runs})),
        **comparable.facts,
        "variant": first.pooled.variant if len(arms) == 1 else "",
    }


def _scores(shared: dict[str, Any], pooled: PooledRuns) -> list[dict[str, Any]]:
    summary = summarise(pooled.cases, (*SUMMARY_ROWS, *MORE_ROWS)).to_dict("records")
    # an older evaluation wrote no calibration and no tuned thresholds
    return [{**shared, **{str(key): value for key, value in row.items()}} for row in summary if row["n"]]


def _over_modalities(arms: Sequence[Arm]) -> Iterable[list[Arm]]:
    """Each arm alone, then arms of one name over the modalities that have a baseline."""
    yield from ([arm] for arm in arms)
    named: dict[tuple[str, str], list[Arm]] = {}
    for arm in arms:
        if arm.baseline is not None or arm.role == "baseline":
            named.setdefault((arm.role, arm.name), []).append(arm)
    yield from (together for together in named.values() if len(together) > 1)


def _compared(comparison: Comparison) -> dict[str, Any]:
    row: dict[str, Any] = dict(zip(("diff", "ci_low", "ci_high", "n_paired"), comparison.diff, strict=True))
    row |= dict(zip(("p_wilcoxon", "wins", "losses", "ties"), comparison.test, strict=True))
    if comparison.teacher_diff is not None:
        row |= dict(zip(("teacher_diff", "teacher_ci_low", "teacher_ci_high"), comparison.teacher_diff, strict=False))
        row["gap_closed"] = "undefined" if comparison.gap is None else f"{comparison.gap:.6g}"
    return row


def _costs(pooled: PooledRuns) -> Iterable[dict[str, Any]]:
    costs = [cost for run in pooled.runs if (cost := run_cost(run.folder)) is not None]
    for metric in COSTS:
        values = pd.Series([getattr(cost, metric) for cost in costs], dtype=float).dropna()
        if len(values):
            yield {"metric": metric, "region": "", "mean": values.mean(), "std": values.std(), "n": len(values)}


def _corrected(rows: pd.DataFrame) -> pd.DataFrame:
    students = rows[rows.role == "student"]
    for _, family in students.groupby(["modality", "metric", "region"]):
        rows.loc[family.index, "p_holm"] = holm(family.p_wilcoxon.astype(float))
    return rows
