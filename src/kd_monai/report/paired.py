"""An arm against its baseline on the same subjects, and how much of the teacher's lead it closes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from kd_monai.metrics import (
    LOWER_IS_BETTER,
    Interval,
    PairedTest,
    gap_closed,
    mean_interval,
    paired_difference,
    paired_test,
)
from kd_monai.report.arms import Arm
from kd_monai.report.pooled import PooledRuns

NOT_COMPARED_WITH_TEACHER = ("ece", "brier")
"""Calibration counts voxels where a modality that the network reads is not 0: a teacher reads others."""


@dataclass(frozen=True)
class Comparison:
    """A score of an arm minus the same score of its baseline.

    Attributes:
        diff: paired difference, on the subjects that both have.
        test: Wilcoxon's test and counts, on the same subjects.
        teacher_diff: teacher minus baseline on the subjects of all three; None without a teacher.
        gap: share of `teacher_diff` that is closed; None without a teacher, or if it is not shown to be better.
    """

    diff: Interval
    test: PairedTest
    teacher_diff: Interval | None = None
    gap: float | None = None


def compare_scores(arm: Arm, metric: str, region: str) -> Comparison | None:
    """Compare an arm with its baseline in one score (see `case_values`).

    Returns:
        None without a baseline, without a shared subject, and for the calibration of a teacher.
    """
    with_teacher = metric not in NOT_COMPARED_WITH_TEACHER
    if arm.baseline is None or (arm.role == "teacher" and not with_teacher):
        return None
    values, base = _shared([arm.pooled, arm.baseline], metric, region)
    if not len(values):
        return None
    lower_is_better = metric in LOWER_IS_BETTER
    alone = Comparison(paired_difference(values, base), paired_test(values, base, lower_is_better))
    if arm.teacher is None or not with_teacher:
        return alone
    values, base, best = _shared([arm.pooled, arm.baseline, arm.teacher], metric, region)
    if not len(values):
        return alone
    gap = gap_closed(values, base, best, lower_is_better=lower_is_better)
    return Comparison(alone.diff, alone.test, paired_difference(best, base), gap)


def compare_with_fixed_mask(arm: Arm, fixed_mask: PooledRuns | None) -> tuple[Interval, float] | None:
    """Interval of a student's mean Dice, and the fixed mask's mean Dice, on the subjects of both; None without any."""
    if fixed_mask is None or arm.role != "student":
        return None
    values, fixed = (pooled.values("dice", "mean") for pooled in (arm.pooled, fixed_mask))
    shared = values.index.intersection(fixed.index)
    return (mean_interval(values[shared]), float(fixed[shared].mean())) if len(shared) else None


def _shared(networks: Sequence[PooledRuns], metric: str, region: str) -> list[pd.Series]:
    values = pd.concat([pooled.values(metric, region) for pooled in networks], axis=1, join="inner")
    values = values.sort_index().dropna()
    return [values.iloc[:, i] for i in range(len(networks))]
