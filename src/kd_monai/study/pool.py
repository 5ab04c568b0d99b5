"""Runs of one network and method over folds and seeds, as one table of test cases."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from kd_monai.metrics import CASE_COLUMNS
from kd_monai.study.config import NOT_IDENTITY
from kd_monai.study.evaluated_run import ROLES, EvaluatedRun

GROUP_KEYS = ("data_digest", "split_digest", "labels", "recipe", "n_subjects")
"""Runs that differ in one of these are never pooled, nor compared with each other."""


@dataclass(frozen=True)
class Pool:
    """Runs that differ in fold and seed alone.

    Attributes:
        role, method, modality: what they share.
        runs: at least one.
        cases: a row per subject; several seeds are averaged.
    """

    role: str
    method: str
    modality: str
    runs: tuple[EvaluatedRun, ...]
    cases: pd.DataFrame

    @property
    def title(self) -> str:
        """As a table names it."""
        if self.role == "fixed_mask":
            return "best fixed mask"
        return " ".join([self.role, *([self.method] if self.role == "student" else []), self.modality])

    @property
    def folds(self) -> list[Any]:
        """Test folds, in order."""
        return sorted({run.record["fold"] for run in self.runs}, key=str)

    @property
    def seeds(self) -> list[Any]:
        """Random seeds, in order."""
        return sorted({run.record["seed"] for run in self.runs}, key=str)


def group_runs(runs: Iterable[EvaluatedRun]) -> list[tuple[dict[str, Any], list[Pool]]]:
    """Runs pooled over folds and seeds, apart for each data set, split, label convention and recipe.

    Returns:
        For every group the values of `GROUP_KEYS` and its pools: teacher, baseline, student, fixed mask.

    Raises:
        ValueError: runs of one pool that do not belong together; see `pool_runs`.
    """
    groups: dict[tuple[Any, ...], dict[tuple[Any, ...], list[EvaluatedRun]]] = {}
    for run in runs:
        group = groups.setdefault(tuple(run.get(key) for key in GROUP_KEYS), {})
        place = (ROLES.index(run.record["role"]), run.record["modality"], run.record["method"])
        group.setdefault(place, []).append(run)
    return [
        (dict(zip(GROUP_KEYS, key, strict=True)), [pool_runs(members) for _, members in sorted(pools.items())])
        for key, pools in sorted(groups.items(), key=lambda item: str(item[0]))
    ]


def pool_runs(runs: Sequence[EvaluatedRun]) -> Pool:
    """One pool: seeds averaged per subject first, then the test subjects of all folds put together.

    Raises:
        ValueError: two runs of one fold and seed, runs of different data, split, recipe or configuration, a subject in
            two folds, or a subject whose reference is empty in one run and not in another.
    """
    first, remedy = runs[0], "Name the runs to compare (--runs FOLDER ...), or move one of them out of the folder."
    for i, run in enumerate(runs):
        for key in (*GROUP_KEYS, "role", "method", "modality"):
            if run.get(key) != first.get(key):
                raise ValueError(
                    f"Pooled runs share their {key}; {first.folder} has {first.get(key)!r} and {run.folder} "
                    f"{run.get(key)!r}. {remedy}"
                )
        differing = _differing(first, run)
        if differing:
            raise ValueError(
                f"Pooled runs differ in fold and seed alone; {first.folder} and {run.folder} differ in "
                f"{', '.join(differing)}. {remedy}"
            )
        for other in runs[:i]:
            if all(run.record[key] == other.record[key] for key in ("fold", "seed")):
                raise ValueError(
                    f"A pool has one run per fold and seed; {other.folder} and {run.folder} are both fold "
                    f"{run.record['fold']}, seed {run.record['seed']}. {remedy}"
                )
    cases = pd.concat([run.cases.assign(fold=str(run.record["fold"])) for run in runs], ignore_index=True)
    _check_subjects(cases, first)
    scores = {column: "mean" if cases[column].dtype.kind == "f" else "first" for column in CASE_COLUMNS[1:]}
    merged = cases.groupby("subject", sort=True).agg(scores).reset_index()
    return Pool(first.record["role"], first.record["method"], first.record["modality"], tuple(runs), merged)


def _differing(a: EvaluatedRun, b: EvaluatedRun) -> list[str]:
    if not a.config or not b.config:
        return []
    names = (set(a.config) | set(b.config)) - NOT_IDENTITY - {"fold", "seed"}
    return sorted(name for name in names if a.config.get(name) != b.config.get(name))


def _check_subjects(cases: pd.DataFrame, run: EvaluatedRun) -> None:
    name = "/".join(str(run.record[key]) for key in ("role", "method", "modality"))
    for column, rule, remedy in (
        (
            "fold",
            "A subject is tested in one fold",
            "The splits differ: retrain with one split file (SPLIT=split.json).",
        ),
        *(
            (f"empty_{region}", f"A subject has one reference ({region} empty or not)", "Evaluate the runs again.")
            for region in ("TC", "WT", "ET")
        ),
    ):
        several = cases.groupby("subject")[column].nunique()
        if (several > 1).any():
            subject = str(several[several > 1].index[0])
            got = ", ".join(str(value) for value in sorted(cases.loc[cases.subject == subject, column].unique()))
            raise ValueError(f"{rule}; in the runs of {name}, subject {subject} has {got}. {remedy}")
