"""The rows of ``report.csv``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from kd_monai.metrics import (
    LOWER_IS_BETTER,
    MORE_ROWS,
    SUMMARY_ROWS,
    PairedTest,
    holm,
    paired_test,
    summarise,
)
from kd_monai.report.arms import Arm, arms_of
from kd_monai.report.comparable import Group
from kd_monai.report.endpoint import EndpointContrast, differences_by_seed, endpoint_contrast
from kd_monai.report.paired import Contrast, contrast
from kd_monai.report.pooled import Pool
from kd_monai.report.setting import GROUP_KEYS
from kd_monai.runs.read import COSTS, run_cost

ALL = "all"
"""Modality of the rows over all modalities."""
ENDPOINT = "endpoint"
"""Region of the rows of the primary endpoint."""
CALIBRATION = ("ece", "brier")
"""Over the voxels where a modality that the network reads is not 0: a teacher's and a baseline's are not the same."""
_LEFT_OUT = ("sensitivity", "specificity")
_REPORTED = [row for row in (*SUMMARY_ROWS, *MORE_ROWS) if row[0] not in _LEFT_OUT]

COLUMNS = [
    "arm", "role", "method", "modality", "over", "metric", "region", "mean", "std", "n", "n_empty", "diff", "ci_low",
    "ci_high", "n_paired", "p_wilcoxon", "p_holm", "wins", "losses", "ties", "by_seed", "gap_closed", "teacher_diff",
    "teacher_ci_low", "teacher_ci_high", "n_train", "folds", "seeds", "runs", *GROUP_KEYS, "setting", "variant",
]  # fmt: skip
_COUNTS = ["n", "n_empty", "n_paired", "wins", "losses", "ties"]


def report_rows(group: Group) -> pd.DataFrame:
    """A row per arm, modality, metric and region of one group of runs.

    ``diff``, ``ci_low``, ``ci_high``, ``p_wilcoxon``, ``wins``, ``losses``, ``ties``: against the baseline of the
    modality, on ``n_paired`` subjects. ``p_holm``: corrected over the methods of the same modality, metric and region.
    ``teacher_*`` and ``gap_closed`` as in ``comparison.csv``. Region ``endpoint``: the primary endpoint, of one
    modality and, as modality ``all``, of those in ``over`` together; its interval draws a subject with all modalities
    and regions. ``by_seed``: of the endpoint, ``<seed>:<diff>`` of each where there are several. Metrics
    ``seconds_per_step``, ``peak_memory_mib`` and ``minutes`` are means over runs. ``n_train``: labelled subjects to
    train on, the mean over folds. ``runs``: ``<fold>/<seed>`` of each. Calibration is not compared with a teacher's
    (see `CALIBRATION`). What is unknown or does not apply is empty.
    """
    arms = arms_of(group)
    rows: list[dict[str, Any]] = []
    for arm in arms:
        shared = _described(group, [arm])
        for summary in summarise(arm.pool.cases, _REPORTED).to_dict("records"):
            row = {**shared, **{str(key): value for key, value in summary.items()}}
            if not row["n"]:
                continue  # an older evaluation wrote no such column
            metric, region = row["metric"], row["region"]
            if arm.baseline is not None and not (arm.role == "teacher" and metric in CALIBRATION):
                teacher = None if metric in CALIBRATION else arm.teacher
                found = contrast(arm.pool, arm.baseline, teacher, metric, region)
                if found is not None:
                    row |= _compared(found, _test(arm.pool, arm.baseline, metric, region))
            rows.append(row)
        rows += [{**shared, **cost} for cost in _costs(arm.pool)]
    for together in _over_modalities(arms):
        shared = _described(group, together)
        for metric in ("dice", "tuned_dice"):
            result = endpoint_contrast(together, metric)
            if result is not None:
                row = {**shared, "metric": metric, "region": ENDPOINT, "mean": result.mean, "std": result.std}
                row |= {"n": result.n, "n_empty": result.n_empty}
                by_seed = differences_by_seed(together, metric)
                row["by_seed"] = " ".join(f"{seed}:{diff:.6g}" for seed, diff in by_seed.items())
                rows.append(row | (_compared(result, result.test) if result.test else {}))
    return _corrected(pd.DataFrame(rows, columns=COLUMNS).astype(dict.fromkeys(_COUNTS, "Int64")))


def widest(rows: pd.DataFrame) -> str:
    """The most modalities that a row's mean is over, as its ``over`` names them; empty without rows."""
    return max(rows.over, key=lambda over: len(over.split()), default="")


def _described(group: Group, arms: Sequence[Arm]) -> dict[str, Any]:
    first = arms[0]
    runs = [run for arm in arms for run in arm.pool.runs]
    folds, seeds = (sorted({str(run.record[name]) for run in runs}) for name in ("fold", "seed"))
    return {
        "arm": first.name,
        "role": first.role,
        "method": first.pool.method,
        "modality": first.modality if len(arms) == 1 else ALL,
        "over": " ".join(arm.modality for arm in arms),
        "n_train": float(np.mean([arm.n_train for arm in arms])),
        "folds": " ".join(folds),
        "seeds": " ".join(seeds),
        "runs": " ".join(sorted({f"{run.record['fold']}/{run.record['seed']}" for run in runs})),
        **group.facts,
        "variant": first.pool.variant if len(arms) == 1 else "",
    }


def _over_modalities(arms: Sequence[Arm]) -> Iterable[list[Arm]]:
    """Each arm by itself, then arms of one name over the modalities that have a baseline."""
    yield from ([arm] for arm in arms)
    named: dict[tuple[str, str], list[Arm]] = {}
    for arm in arms:
        if arm.baseline is not None or arm.role == "baseline":
            named.setdefault((arm.role, arm.name), []).append(arm)
    yield from (together for together in named.values() if len(together) > 1)


def _test(pool: Pool, baseline: Pool, metric: str, region: str) -> PairedTest:
    own, base = pool.values(metric, region).align(baseline.values(metric, region), join="inner")
    return paired_test(own, base, metric in LOWER_IS_BETTER)


def _compared(found: Contrast | EndpointContrast, test: PairedTest) -> dict[str, Any]:
    row: dict[str, Any] = {}
    if found.diff is not None:
        row |= dict(zip(("diff", "ci_low", "ci_high", "n_paired"), found.diff, strict=True))
    row |= dict(zip(("p_wilcoxon", "wins", "losses", "ties"), test, strict=True))
    if found.teacher_diff is not None:
        row |= dict(zip(("teacher_diff", "teacher_ci_low", "teacher_ci_high"), found.teacher_diff, strict=False))
        row["gap_closed"] = "undefined" if found.gap is None else f"{found.gap:.6g}"
    return row


def _costs(pool: Pool) -> Iterable[dict[str, Any]]:
    costs = [cost for run in pool.runs if (cost := run_cost(run.folder)) is not None]
    for metric in COSTS:
        values = pd.Series([getattr(cost, metric) for cost in costs], dtype=float).dropna()
        if len(values):
            yield {"metric": metric, "region": "", "mean": values.mean(), "std": values.std(), "n": len(values)}


def _corrected(rows: pd.DataFrame) -> pd.DataFrame:
    students = rows[rows.role == "student"]
    for _, family in students.groupby(["modality", "metric", "region"]):
        rows.loc[family.index, "p_holm"] = holm(family.p_wilcoxon.astype(float))
    return rows
