"""Runs that may be compared: one study, and one configuration of what a student shares with its baseline."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from kd_monai.config.overlays import STUDENT, overlay
from kd_monai.report.pooled import PooledRuns, pool_runs
from kd_monai.runs.identity import content_key, identity
from kd_monai.runs.read import ROLES, EvaluatedRun, TrainedRun

Key = tuple[Any, ...]

STUDY_KEYS = ("data_digest", "split_digest", "labels", "recipe", "n_subjects")
"""Runs that differ in one of these belong to two studies."""

# a method may add steps, handlers or terms of the loss
_STEPS = {"initialize", "run"}
# what a run reads: its student's, and its teacher's if there is one
_READ = {"modality", "sample_modalities"}
# facts of a run that its configuration does not hold, and that a student shares with its baseline
_FACTS = ("computes", "processes")
# where the record holds the resolved value; inner_folds: only the run key of the teachers holds it
_RECORDED = ("recipe", "n_subjects", "precision", "unlabelled", "inner_folds")


@dataclass(frozen=True)
class ComparableRuns:
    """Runs whose scores may stand in one table.

    Attributes:
        facts: values of `STUDY_KEYS`, and the digest of the shared ``configuration``.
        differs: how the shared configuration differs from the study's others; empty where there is no other.
        pooled: teacher, baseline, student and fixed mask, each over folds and seeds.
    """

    facts: dict[str, Any]
    differs: str
    pooled: list[PooledRuns]

    @property
    def study(self) -> Key:
        """The values of `STUDY_KEYS`."""
        return tuple(self.facts[key] for key in STUDY_KEYS)

    @property
    def data(self) -> str:
        """First digits of the data's digest, and the name of the folder or datalist."""
        folders = (run.config.get("dataset_dir") for pooled in self.pooled for run in pooled.runs)
        names = sorted({Path(folder).name for folder in folders if folder})
        return str(self.facts["data_digest"])[:8] + (f" ({', '.join(names)})" if names else "")


def comparable_key(run: TrainedRun) -> Key:
    """What a student and its baseline have in common, apart from fold, seed and modality."""
    return (*study_of(run), digest(shared_configuration_of(run)))


def study_of(run: TrainedRun) -> Key:
    """The run's values of `STUDY_KEYS`."""
    return tuple(run.get(key) for key in STUDY_KEYS)


def comparable_runs(runs: Iterable[EvaluatedRun]) -> list[ComparableRuns]:
    """Runs pooled over folds and seeds, apart for each study and shared configuration.

    A teacher is compared with the students that it taught, whatever its own configuration. A fixed mask is compared
    with all runs of its study. A teacher without evaluated students stays with the teachers of its configuration that
    taught in other folds and seeds.

    Raises:
        UserError: runs that would be pooled do not belong together; see `pool_runs`.
    """
    runs = list(runs)
    trained: dict[Key, list[EvaluatedRun]] = {}
    for run in runs:
        if run.record["role"] in ("baseline", "student"):
            trained.setdefault(comparable_key(run), []).append(run)
    members = {key: list(students) for key, students in trained.items()}
    teachers = [run for run in runs if run.record["role"] == "teacher"]
    keys_of = [
        {key for key, students in trained.items() if _taught(run, students)} | {comparable_key(run)} & set(trained)
        for run in teachers
    ]
    keys_alike: dict[Key, set[Key]] = {}
    for run, keys in zip(teachers, keys_of, strict=True):
        keys_alike.setdefault((study_of(run), digest(configuration_of(run))), set()).update(keys)
    for run, keys in zip(teachers, keys_of, strict=True):
        alike = keys_alike[study_of(run), digest(configuration_of(run))]
        for key in keys or alike or {comparable_key(run)}:
            members.setdefault(key, []).append(run)
    for run in runs:
        if run.record["role"] == "fixed_mask":
            for key in [key for key in members if key[:-1] == study_of(run)] or [comparable_key(run)]:
                members.setdefault(key, []).append(run)
    return [
        ComparableRuns(dict(zip((*STUDY_KEYS, "configuration"), key, strict=True)), _differs(key, members), _pool(part))
        for key, part in sorted(members.items(), key=lambda item: str(item[0]))
    ]


def _taught(teacher: EvaluatedRun, students: Sequence[EvaluatedRun]) -> bool:
    """On the same subjects; the teacher may have another recipe and another number of training subjects."""
    taught = [run for run in students if teacher.record.get("run_key") in run.teacher_keys]
    return any(study_of(run)[:3] == study_of(teacher)[:3] for run in taught)


def _differs(key: Key, members: Mapping[Key, Sequence[EvaluatedRun]]) -> str:
    # the first member is no teacher of another study
    shared = {other: shared_configuration_of(part[0]) for other, part in members.items() if other[:-1] == key[:-1]}
    names = differing(shared.values())
    return values_of(shared[key], names)


def _pool(members: Sequence[EvaluatedRun]) -> list[PooledRuns]:
    teachers = {str(run.record.get("run_key")): run for run in members if run.record["role"] == "teacher"}
    variants: dict[Key, dict[str, tuple[dict[str, Any], list[EvaluatedRun]]]] = {}
    for run in members:
        configuration = configuration_of(run)
        if run.record["role"] == "student":
            configuration["teacher"] = teachers_digest(run, teachers)
        network = (ROLES.index(run.record["role"]), run.record["modality"], run.record["method"])
        variants.setdefault(network, {}).setdefault(digest(configuration), (configuration, []))[1].append(run)
    # what differs on one modality names the method on all modalities: one configuration, one name
    names: dict[Key, set[str]] = {}
    for (role, _, method), of_network in variants.items():
        names.setdefault((role, method), set()).update(differing(values for values, _ in of_network.values()))
    return [
        pool_runs(runs, variant, values_of(configuration, sorted(names[role, method])))
        for (role, _, method), of_network in sorted(variants.items())
        for variant, (configuration, runs) in of_network.items()
    ]


def configuration_of(run: TrainedRun) -> dict[str, Any]:
    """All that decides what a run learned, apart from data, fold, seed and teacher."""
    values = {name: value for name, value in identity(run.config).items() if name not in {"fold", "seed"}}
    facts = {name: run.record.get(name) or 1 for name in _FACTS}  # older runs do not say
    return values | {name: run.get(name) for name in _RECORDED} | facts


def shared_configuration_of(run: TrainedRun) -> dict[str, Any]:
    """What a student shares with its baseline: numbers and lists of ``train.yaml``, the network and `_FACTS`.

    The sequences, what makes a baseline, and what the file of a method adds are left out.
    """
    configuration = configuration_of(run)
    shared = {*_template_ids(), *_FACTS} | set(re.findall(r"@(\w+)", str(configuration.get("network_def"))))
    return {
        name: value
        for name, value in configuration.items()
        if name in shared - _READ and (name == "network_def" or not isinstance(value, dict))
    }


@cache
def _template_ids() -> frozenset[str]:
    files = [STUDENT / "configs" / "train.yaml", *sorted((STUDENT.parent / "shared").glob("*.yaml"))]
    template = {name for file in files for name in yaml.safe_load(file.read_text())}
    baseline = yaml.safe_load(overlay(STUDENT, "method", "baseline").read_text())
    return frozenset(template - baseline.keys() - _STEPS)


def teachers_digest(run: TrainedRun, teachers: Mapping[str, TrainedRun]) -> str:
    """Digests of the configurations of a student's teachers; run keys would differ from fold to fold.

    Args:
        run: a student.
        teachers: run key -> a teacher's run, of those in the folder.
    """
    known = {digest(configuration_of(teachers[key]))[:4] for key in run.teacher_keys & teachers.keys()}
    return " ".join(sorted(known)) or "not here"


def digest(values: Mapping[str, Any]) -> str:
    """Eight hexadecimal digits of a configuration; 2 and 2.0 are the same number."""
    return content_key(values)[:8]


def differing(configurations: Iterable[Mapping[str, Any]]) -> list[str]:
    """Names of the values, at any depth, in which not all configurations agree."""
    flat = [dict(_leaves(configuration)) for configuration in configurations]
    names = sorted({name for leaves in flat for name in leaves})
    return [name for name in names if any(leaves.get(name) != flat[0].get(name) for leaves in flat)]


def values_of(configuration: Mapping[str, Any], names: Iterable[str]) -> str:
    """The named values of a configuration, at any depth, in the form that ``SET`` takes."""
    leaves = dict(_leaves(configuration))
    return ", ".join(f"{name}={leaves.get(name, 'not set')}" for name in names)


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}#")
        else:
            yield f"{prefix}{name}", value
