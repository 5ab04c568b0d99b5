"""One pool against its baseline, and how much of the teacher's lead it has closed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from kd_monai.metrics import LOWER_IS_BETTER, Interval, gap_closed, paired_difference
from kd_monai.report.pooled import Pool
from kd_monai.report.setting import differing, setting_of


@dataclass(frozen=True)
class Contrast:
    """A score of one pool minus the same score of the baseline, on the subjects that both have.

    Attributes:
        diff: the paired difference.
        teacher_diff: teacher minus baseline on the subjects of all three; None without a teacher.
        gap: `gap_closed` on those subjects; None where it is undefined, or without a teacher.
    """

    diff: Interval
    teacher_diff: Interval | None = None
    gap: float | None = None

    @property
    def gap_text(self) -> str:
        """As tables have it: a number, ``undefined``, or nothing without a teacher."""
        if self.teacher_diff is None:
            return ""
        return "undefined" if self.gap is None else f"{self.gap:.6g}"


def contrast(pool: Pool, baseline: Pool, teacher: Pool | None, metric: str, region: str) -> Contrast | None:
    """Compare a pool with its baseline in one score (see `case_values`); None where they share no subject."""
    own, base = _shared([pool, baseline], metric, region)
    if not len(own):
        return None
    diff = paired_difference(own, base)
    if teacher is None:
        return Contrast(diff)
    own, base, best = _shared([pool, baseline, teacher], metric, region)
    if not len(own):
        return Contrast(diff)
    gap = gap_closed(own, base, best, lower_is_better=metric in LOWER_IS_BETTER)
    return Contrast(diff, paired_difference(best, base), gap)


def _shared(pools: Sequence[Pool], metric: str, region: str) -> list[pd.Series]:
    values = pd.concat([pool.values(metric, region) for pool in pools], axis=1, join="inner")
    values = values.sort_index().dropna()
    return [values.iloc[:, i] for i in range(len(pools))]


def baseline_of(pool: Pool, pools: Sequence[Pool]) -> Pool | None:
    """The baseline that reads what the pool reads; a teacher's is the only one there is.

    Of several, which differ in parts that a method may change too, the one that differs least.
    """
    baselines = [other for other in pools if other.role == "baseline"]
    if pool.role == "teacher" and len(baselines) == 1:
        return baselines[0]
    if pool.role != "student":
        return None
    alike = [other for other in baselines if other.modality == pool.modality]
    own = setting_of(pool.runs[0])
    return min(alike, key=lambda other: len(differing([own, setting_of(other.runs[0])])), default=None)


def teacher_of(student: Pool, pools: Sequence[Pool]) -> Pool | None:
    """The pool that taught this student, by its runs' ``teacher_key``; where nothing is recorded, the only teacher."""
    teachers = [pool for pool in pools if pool.role == "teacher"]
    keys = {key for run in student.runs for key in run.teacher_keys}
    if not keys:
        return teachers[0] if len(teachers) == 1 else None
    return next((pool for pool in teachers if keys & {run.record.get("run_key") for run in pool.runs}), None)
