"""What a report holds against what: a network, the baseline of the same modality, and who taught it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from kd_monai.data import REST
from kd_monai.report.comparable import Group
from kd_monai.report.paired import baseline_of, teacher_of
from kd_monai.report.pooled import Pool
from kd_monai.task import MODALITIES, parse_modalities

# with all subjects; a folder of unlabelled subjects is told by its digest
_COME_TO_ONE = re.compile(rf"(teacher=[^,]*|unlabelled=(None|{REST}))(, (teacher=[^,]*|unlabelled=(None|{REST})))*")


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


def names_over_numbers(groups: Sequence[Group]) -> dict[tuple[int | None, str, str], list[str]]:
    """Under which names an arm stands in groups that differ in the number of training subjects alone.

    An arm is named by its method, and by its setting where its own group has the method with another one too. With all
    subjects ``UNLABELLED=rest`` has nobody and all teachers have seen everybody: there one arm is what settings that
    differ in unlabelled subjects or teachers under fewer come to, and stands for each of them.

    Args:
        groups: of one family (`family_of`).

    Returns:
        (``n_subjects``, modality, name) -> names, its own if no other.
    """
    arms = [(group.facts["n_subjects"], arm) for group in groups for arm in arms_of(group)]
    settings: dict[tuple[str, str], dict[str, str]] = {}
    for n, arm in arms:
        if n is not None and arm.pool.differs:
            settings.setdefault((arm.pool.method, arm.modality), {})[arm.name] = arm.pool.differs
    names = {}
    for n, arm in arms:
        own = [arm.name]
        if n is None and not arm.pool.differs and arm.pool.runs[0].get("unlabelled") is None:
            others = settings.get((arm.pool.method, arm.modality), {})
            own = [name for name, differs in others.items() if _COME_TO_ONE.fullmatch(differs)] or own
        names[n, arm.modality, arm.name] = own
    return names


def place(modality: str) -> tuple[int, list[int]]:
    """Single modalities first, in canonical order."""
    names = parse_modalities(modality)
    return len(names), [MODALITIES.index(name) for name in names]


def _name(pool: Pool, several: bool = False) -> str:
    own = [pool.modality] if several else []
    own += [pool.differs] if pool.differs else []
    return (pool.method if pool.role == "student" else pool.role) + (f" ({', '.join(own)})" if own else "")
