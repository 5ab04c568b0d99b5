"""What a report holds against what: a network, the baseline of the same modality, and who taught it."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from kd_monai.brats import MODALITIES, parse_modalities
from kd_monai.study.contrast import baseline_of, teacher_of
from kd_monai.study.group import Group
from kd_monai.study.pool import Pool


@dataclass(frozen=True)
class Arm:
    """One network in the table of one modality.

    Attributes:
        name: method, with what its setting has of its own in brackets; ``teacher`` or ``baseline``.
        modality: the table's; what a baseline or student reads, while a teacher stands in the tables of all.
        pool: its runs.
        baseline: None for a baseline, and where there is none.
        teacher: of a student.
    """

    name: str
    modality: str
    pool: Pool
    baseline: Pool | None = None
    teacher: Pool | None = None

    @property
    def role(self) -> str:
        """Teacher, baseline or student."""
        return self.pool.role

    @property
    def n_train(self) -> float:
        """Labelled subjects that it was trained on, the mean over folds; NaN where runs do not say."""
        counts = [run.get("n_train") for run in self.pool.runs]
        return float("nan") if None in counts else sum(counts) / len(counts)


def arms_of(group: Group) -> list[Arm]:
    """Arms of a group by modality, in each the teachers, the baselines and then the students."""
    pools = [pool for pool in group.pools if pool.role != "fixed_mask"]
    own = [pool for pool in pools if pool.role in ("baseline", "student")]
    arms = []
    for modality in sorted({pool.modality for pool in own}, key=place):
        baselines, students = (
            [pool for pool in own if pool.role == role and pool.modality == modality]
            for role in ("baseline", "student")
        )
        taught = [teacher for student in students if (teacher := teacher_of(student, pools)) is not None]
        teachers = [pool for pool in pools if pool.role == "teacher" and (pool in taught or not taught)]
        first = baselines[0] if baselines else None
        arms += [Arm(_name(pool, len(teachers) > 1), modality, pool, first) for pool in teachers]
        arms += [Arm(_name(pool), modality, pool) for pool in baselines]
        arms += [
            Arm(_name(pool), modality, pool, baseline_of(pool, pools), teacher_of(pool, pools)) for pool in students
        ]
    return arms


def over_numbers(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of groups that differ in the number of training subjects alone, with names that hold over all of them.

    An arm is named by its method, and by its setting where its group has the method with another one too. Under a
    number of subjects with one setting alone, for example all where ``UNLABELLED=rest`` has nobody, the method stands
    for each setting that it has under other numbers.

    Args:
        rows: with columns ``arm``, ``method`` and ``modality``.
    """
    parts = []
    for (method, _), own in rows.groupby(["method", "modality"], sort=False):
        plain = own.arm.isin([method])
        names = list(dict.fromkeys(own.arm[~plain]))
        parts += [own[~plain], *(own[plain].assign(arm=name) for name in names)] if names else [own]
    return pd.concat(parts).sort_index(kind="stable") if parts else rows


def place(modality: str) -> tuple[int, list[int]]:
    """Single modalities first, in canonical order."""
    names = parse_modalities(modality)
    return len(names), [MODALITIES.index(name) for name in names]


def _name(pool: Pool, several: bool = False) -> str:
    own = [pool.modality] if several else []
    own += [pool.differs] if pool.differs else []
    return (pool.method if pool.role == "student" else pool.role) + (f" ({', '.join(own)})" if own else "")
