"""The rows of ``comparison.csv``."""

from __future__ import annotations

from typing import Any

import pandas as pd

from kd_monai.metrics import summarise
from kd_monai.report.comparable import Group
from kd_monai.report.paired import baseline_of, contrast, teacher_of
from kd_monai.report.setting import GROUP_KEYS

COLUMNS = [
    "role", "method", "modality", "region", "metric", "mean", "std", "n", "n_empty", "diff", "ci_low", "ci_high",
    "gap_closed", "n_paired", "teacher_diff", "teacher_ci_low", "teacher_ci_high", "folds", "seeds", *GROUP_KEYS,
    "setting", "variant",
]  # fmt: skip


def comparison_rows(group: Group) -> pd.DataFrame:
    """A row per role, method, modality, region and metric of one group of runs.

    ``diff``, ``ci_low``, ``ci_high``: paired difference to the baseline of the same modality over ``n_paired``
    subjects, for students, and for the teacher where there is one baseline. ``teacher_diff``, ``teacher_ci_low``,
    ``teacher_ci_high``: teacher minus baseline on the student's subjects; unless that interval shows the teacher to be
    better, ``gap_closed`` is ``undefined``. What does not apply is empty. ``setting`` is the digest of what student and
    baseline share, ``variant`` that of all that a row's runs were trained with.
    Region and metric: `kd_monai.metrics.SUMMARY_ROWS`.
    """
    rows: list[dict[str, Any]] = []
    pools = group.pools
    for pool in pools:
        baseline = baseline_of(pool, pools)
        teacher = teacher_of(pool, pools) if pool.role == "student" else None
        shared = {
            "role": pool.role,
            "method": pool.method,
            "modality": pool.modality,
            "folds": " ".join(map(str, pool.folds)),
            "seeds": " ".join(map(str, pool.seeds)),
            **group.facts,
            "variant": pool.variant,
        }
        for summary in summarise(pool.cases).to_dict("records"):
            row = {**shared, **{str(key): value for key, value in summary.items()}}
            found = contrast(pool, baseline, teacher, row["metric"], row["region"]) if baseline else None
            if found is not None:
                row |= dict(zip(("diff", "ci_low", "ci_high", "n_paired"), found.diff, strict=True))
                row["gap_closed"] = found.gap_text or None
                if found.teacher_diff is not None:
                    row |= dict(
                        zip(("teacher_diff", "teacher_ci_low", "teacher_ci_high"), found.teacher_diff, strict=False)
                    )
            rows.append(row)
    return pd.DataFrame(rows, columns=COLUMNS).astype({"n_paired": "Int64"})


def parent_metrics(rows: pd.DataFrame) -> dict[str, float]:
    """``gap_closed/<method>_<modality>/<metric>_<region>`` and ``diff/...`` of a study's students, for its parent run.

    Students on ``n`` training subjects are ``<method>_<modality>_n<n>``. Where a method was trained in several
    settings, ``_<variant>`` stands behind. What is undefined is left out.
    """
    metrics = {}
    arms = ["method", "modality", "n_subjects"]
    for _, of_arm in rows[rows.role == "student"].groupby(arms, dropna=False):
        several = of_arm.variant.nunique() > 1
        for row in of_arm.to_dict("records"):
            name = f"{row['method']}_{row['modality']}"
            name += f"_n{row['n_subjects']:.0f}" if pd.notna(row["n_subjects"]) else ""
            name += f"_{row['variant']}" if several else ""
            for kind in ("diff", "gap_closed"):
                value = pd.to_numeric(row[kind], errors="coerce")
                if pd.notna(value):
                    metrics[f"{kind}/{name}/{row['metric']}_{row['region']}"] = float(value)
    return metrics
