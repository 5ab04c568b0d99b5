"""Runs that may be compared: one study, and one setting of what a student shares with its baseline."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kd_monai.report.pooled import Pool, pool_runs
from kd_monai.report.setting import (
    GROUP_KEYS,
    differing,
    digest,
    setting_of,
    shared_setting_of,
    teachers_setting,
    values_of,
    what_differs,
)
from kd_monai.runs.read import ROLES, EvaluatedRun, TrainedRun

Key = tuple[Any, ...]


@dataclass(frozen=True)
class Group:
    """Pools that stand in one table.

    Attributes:
        facts: values of `GROUP_KEYS`, and the digest of the shared ``setting``.
        differs: how the shared setting differs from those of the study's other groups; empty where it has no other.
        pools: teacher, baseline, student, fixed mask.
    """

    facts: dict[str, Any]
    differs: str
    pools: list[Pool]

    @property
    def study(self) -> Key:
        """The values of `GROUP_KEYS`."""
        return tuple(self.facts[key] for key in GROUP_KEYS)

    @property
    def data(self) -> str:
        """First digits of the data's digest, with the name of the folder (or datalist) that they were read from."""
        given = (run.config.get("dataset_dir") for pool in self.pools for run in pool.runs)
        names = sorted({Path(folder).name for folder in given if folder})
        return str(self.facts["data_digest"])[:8] + (f" ({', '.join(names)})" if names else "")


def group_key(run: TrainedRun) -> Key:
    """What a student and its baseline have in common, besides fold, seed and modality."""
    return (*study_of(run), digest(shared_setting_of(run)))


def group_runs(runs: Iterable[EvaluatedRun]) -> list[Group]:
    """Runs pooled over folds and seeds, apart for each study and shared setting.

    A teacher stands beside the students that it taught, whatever its own setting, and a fixed mask in all groups of its
    study: neither is a network that shares the student's setting. A teacher whose students have not been evaluated
    stands where those of its setting do that taught in other folds and seeds.

    Raises:
        ValueError: runs of one pool that do not belong together; see `pool_runs`.
    """
    runs = list(runs)
    trained: dict[Key, list[EvaluatedRun]] = {}
    for run in runs:
        if run.record["role"] in ("baseline", "student"):
            trained.setdefault(group_key(run), []).append(run)
    groups = {key: list(members) for key, members in trained.items()}
    teachers = [run for run in runs if run.record["role"] == "teacher"]
    homes = [
        {key for key, members in trained.items() if _taught(run, members)} | {group_key(run)} & set(trained)
        for run in teachers
    ]
    alike: dict[Key, set[Key]] = {}
    for run, keys in zip(teachers, homes, strict=True):
        alike.setdefault((study_of(run), digest(setting_of(run))), set()).update(keys)
    for run, keys in zip(teachers, homes, strict=True):
        for key in keys or alike[study_of(run), digest(setting_of(run))] or {group_key(run)}:
            groups.setdefault(key, []).append(run)
    for run in runs:
        if run.record["role"] == "fixed_mask":
            for key in [key for key in groups if key[:-1] == study_of(run)] or [group_key(run)]:
                groups.setdefault(key, []).append(run)
    ordered = sorted(groups.items(), key=lambda item: str(item[0]))
    return [
        Group(dict(zip((*GROUP_KEYS, "setting"), key, strict=True)), _differs(key, groups), _pools(members))
        for key, members in ordered
    ]


def study_of(run: TrainedRun) -> Key:
    """The run's values of `GROUP_KEYS`."""
    return tuple(run.get(key) for key in GROUP_KEYS)


def _taught(teacher: EvaluatedRun, members: Sequence[EvaluatedRun]) -> bool:
    """On the same subjects; recipe and number of training subjects may be the teacher's own."""
    taught = [run for run in members if teacher.record.get("run_key") in run.teacher_keys]
    return any(study_of(run)[:3] == study_of(teacher)[:3] for run in taught)


def _differs(key: Key, groups: dict[Key, list[EvaluatedRun]]) -> str:
    # the first member is no teacher from elsewhere
    settings = {other: shared_setting_of(members[0]) for other, members in groups.items() if other[:-1] == key[:-1]}
    return dict(zip(settings, what_differs(settings.values()), strict=True))[key]


def _pools(members: Sequence[EvaluatedRun]) -> list[Pool]:
    teachers = {str(run.record.get("run_key")): run for run in members if run.record["role"] == "teacher"}
    places: dict[Key, dict[str, tuple[dict[str, Any], list[EvaluatedRun]]]] = {}
    for run in members:
        setting = setting_of(run)
        if run.record["role"] == "student":
            setting["teacher"] = teachers_setting(run, teachers)
        place = (ROLES.index(run.record["role"]), run.record["modality"], run.record["method"])
        places.setdefault(place, {}).setdefault(digest(setting), (setting, []))[1].append(run)
    # what differs on one modality names the method's pools on all: else those of one setting would be of two names
    names: dict[Key, set[str]] = {}
    for (role, _, method), variants in places.items():
        names.setdefault((role, method), set()).update(differing(setting for setting, _ in variants.values()))
    return [
        pool_runs(runs, variant, values_of(setting, sorted(names[role, method])))
        for (role, _, method), variants in sorted(places.items())
        for variant, (setting, runs) in variants.items()
    ]
