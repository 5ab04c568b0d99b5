"""Arms of a table, each compared with its baseline, and how much of the teacher's lead it closes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from kd_monai.data import REST
from kd_monai.metrics import (
    LOWER_IS_BETTER,
    Interval,
    PairedTest,
    gap_closed,
    mean_interval,
    paired_difference,
    paired_test,
)
from kd_monai.report.comparable import ComparableRuns, configuration_of, differing
from kd_monai.report.pooled import PooledRuns
from kd_monai.task import MODALITIES, parse_modalities

FIXED_MASK = "best fixed mask"
NOT_COMPARED_WITH_TEACHER = ("ece", "brier")
"""Calibration counts voxels where a modality that the network reads is not 0: a teacher reads others."""
# without unlabelled subjects and with one teacher, configurations that differ in these alone are one
_SAME_ON_ALL = re.compile(rf"(teacher=[^,]*|unlabelled=(None|{REST}))(, (teacher=[^,]*|unlabelled=(None|{REST})))*")


@dataclass(frozen=True)
class Arm:
    """A method on a sequence, over folds and seeds.

    Attributes:
        name: method, with what its configuration has of its own in brackets; ``teacher`` or ``baseline``.
        modality: what a baseline or student reads. A teacher is an arm of every modality that it taught.
        pooled: its runs.
        baseline: None for a baseline, and where there is none.
        teacher: of a student.
    """

    name: str
    modality: str
    pooled: PooledRuns
    baseline: PooledRuns | None = None
    teacher: PooledRuns | None = None

    @property
    def role(self) -> str:
        """Teacher, baseline or student."""
        return self.pooled.role

    @property
    def n_train(self) -> float:
        """Labelled training subjects, the mean over folds; NaN where a run does not say."""
        counts = [run.get("n_train") for run in self.pooled.runs]
        return float("nan") if None in counts else sum(counts) / len(counts)


def arms_of(comparable: ComparableRuns) -> list[Arm]:
    """Arms by modality: its teachers, its baselines, then its students.

    Teachers alone are arms of the modalities that they read.
    """
    networks = [pooled for pooled in comparable.pooled if pooled.role != "fixed_mask"]
    teachers = [pooled for pooled in networks if pooled.role == "teacher"]
    modalities = {pooled.modality for pooled in networks if pooled.role != "teacher"}
    if not modalities:
        return [Arm(_name(teacher, len(teachers) > 1), teacher.modality, teacher) for teacher in teachers]
    arms = []
    for modality in sorted(modalities, key=order):
        baselines, students = (
            [pooled for pooled in networks if pooled.role == role and pooled.modality == modality]
            for role in ("baseline", "student")
        )
        taught = [teacher for student in students if (teacher := teacher_of(student, networks)) is not None]
        compared = [teacher for teacher in teachers if teacher in taught or not taught]
        first = baselines[0] if baselines else None
        arms += [Arm(_name(teacher, len(compared) > 1), modality, teacher, first) for teacher in compared]
        arms += [Arm(_name(baseline), modality, baseline) for baseline in baselines]
        arms += [
            Arm(_name(student), modality, student, baseline_of(student, baselines), teacher_of(student, networks))
            for student in students
        ]
    return arms


def baseline_of(student: PooledRuns, baselines: Sequence[PooledRuns]) -> PooledRuns | None:
    """Of the baselines of a modality, the one whose configuration differs least from the student's."""
    values = configuration_of(student.runs[0])
    return min(
        baselines, key=lambda baseline: len(differing([values, configuration_of(baseline.runs[0])])), default=None
    )


def teacher_of(student: PooledRuns, networks: Sequence[PooledRuns]) -> PooledRuns | None:
    """The teacher that taught this student, by ``teacher_key``; where no key is recorded, the only teacher."""
    teachers = [pooled for pooled in networks if pooled.role == "teacher"]
    keys = {key for run in student.runs for key in run.teacher_keys}
    if not keys:
        return teachers[0] if len(teachers) == 1 else None
    return next((pooled for pooled in teachers if keys & {run.record.get("run_key") for run in pooled.runs}), None)


def names_over_numbers(family: Sequence[ComparableRuns]) -> dict[tuple[int | None, str, str], list[str]]:
    """Names of each arm in runs that differ in the number of training subjects alone.

    An arm is named by its method, and by its configuration where the same table has the method with another one. With
    all training subjects ``UNLABELLED=rest`` adds nobody, and all teachers have seen everybody. There one arm can stand
    for several configurations with fewer subjects, and gets the name of each.

    Args:
        family: see `family_of`.

    Returns:
        (``n_subjects``, modality, name) -> names, at least one.
    """
    arms = [(comparable.facts["n_subjects"], arm) for comparable in family for arm in arms_of(comparable)]
    differs_by_name: dict[tuple[str, str], dict[str, str]] = {}
    for n, arm in arms:
        if n is not None and arm.pooled.differs:
            differs_by_name.setdefault((arm.pooled.method, arm.modality), {})[arm.name] = arm.pooled.differs
    names = {}
    for n, arm in arms:
        names[n, arm.modality, arm.name] = [arm.name]
        if n is None and not arm.pooled.differs and arm.pooled.runs[0].get("unlabelled") is None:
            others = differs_by_name.get((arm.pooled.method, arm.modality), {})
            same = [name for name, differs in others.items() if _SAME_ON_ALL.fullmatch(differs)]
            names[n, arm.modality, arm.name] = same or [arm.name]
    return names


def order(modality: str) -> tuple[int, list[int]]:
    """Sort key: single modalities first, in canonical order."""
    names = parse_modalities(modality)
    return len(names), [MODALITIES.index(name) for name in names]


def _name(pooled: PooledRuns, with_modality: bool = False) -> str:
    more = [pooled.modality] if with_modality else []
    more += [pooled.differs] if pooled.differs else []
    return (pooled.method if pooled.role == "student" else pooled.role) + (f" ({', '.join(more)})" if more else "")


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
