"""Runs of one network and method over folds and seeds, as one table of test cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd

from kd_monai.metrics import CASE_COLUMNS, MORE_COLUMNS, case_values
from kd_monai.runs.read import EvaluatedRun


@dataclass(frozen=True)
class Pool:
    """Runs that differ in fold and seed alone.

    Attributes:
        role, method, modality: what they share.
        runs: at least one.
        cases: a row per subject; several seeds are averaged.
        variant: digest of the setting that the runs share.
        differs: how that setting differs from those of other pools of this role, method and modality.
    """

    role: str
    method: str
    modality: str
    runs: tuple[EvaluatedRun, ...]
    cases: pd.DataFrame
    variant: str = ""
    differs: str = ""
    _values: dict[tuple[str, str], pd.Series] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def title(self) -> str:
        """As a table names it."""
        if self.role == "fixed_mask":
            return "best fixed mask"
        method = [self.method] if self.role == "student" else []
        return " ".join([self.role, *method, self.modality, *([self.variant[:4]] if self.differs else [])])

    @property
    def folds(self) -> list[Any]:
        """Test folds, in order."""
        return sorted({run.record["fold"] for run in self.runs}, key=str)

    @property
    def seeds(self) -> list[Any]:
        """Random seeds, in order."""
        return sorted({run.record["seed"] for run in self.runs}, key=str)

    @cached_property
    def by_seed(self) -> dict[Any, Pool]:
        """Seed -> the pool of its runs alone."""
        return {seed: pool_runs([run for run in self.runs if run.record["seed"] == seed]) for seed in self.seeds}

    def values(self, metric: str, region: str) -> pd.Series:
        """`case_values` of its cases; a report asks for each of them dozens of times, so they are kept."""
        if (metric, region) not in self._values:
            self._values[metric, region] = case_values(self.cases, metric, region)
        return self._values[metric, region]


def pool_runs(runs: Sequence[EvaluatedRun], variant: str = "", differs: str = "") -> Pool:
    """One pool: seeds averaged per subject first, then the test subjects of all folds put together.

    Args:
        runs: of one role, method, modality and setting.
        variant, differs: the pool's.

    Raises:
        ValueError: two runs of one fold and seed, a subject in two folds, or a subject whose reference is empty in one
            run and not in another.
    """
    first, remedy = runs[0], "Name the runs to compare (--runs FOLDER ...), or move one of them out of the folder."
    for i, run in enumerate(runs):
        for other in runs[:i]:
            if all(run.record[key] == other.record[key] for key in ("fold", "seed")):
                raise ValueError(
                    f"A pool has one run per fold and seed; {other.folder} and {run.folder} are both fold "
                    f"{run.record['fold']}, seed {run.record['seed']}. {remedy}"
                )
    cases = pd.concat([run.cases.assign(fold=str(run.record["fold"])) for run in runs], ignore_index=True)
    _check_subjects(cases, first)
    scores = [column for column in CASE_COLUMNS[1:] if cases[column].dtype.kind == "f"]
    others = [column for column in CASE_COLUMNS[1:] if column not in scores]
    by_subject = cases.groupby("subject", sort=True)
    merged = pd.concat([by_subject[others].first(), by_subject[scores].mean()], axis=1)
    # seeds of an older evaluation lack these: the mean over the others is not that of all
    merged[MORE_COLUMNS] = merged[MORE_COLUMNS].where(by_subject[MORE_COLUMNS].count().eq(by_subject.size(), axis=0))
    merged = merged.reset_index()[list(CASE_COLUMNS)]
    role, method, modality = (first.record[key] for key in ("role", "method", "modality"))
    return Pool(role, method, modality, tuple(runs), merged, variant, differs)


def _check_subjects(cases: pd.DataFrame, run: EvaluatedRun) -> None:
    name = "/".join(str(run.record[key]) for key in ("role", "method", "modality"))
    by_subject = cases.groupby("subject")
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
        several = by_subject[column].nunique()
        if (several > 1).any():
            subject = str(several[several > 1].index[0])
            got = ", ".join(str(value) for value in sorted(cases.loc[cases.subject == subject, column].unique()))
            raise ValueError(f"{rule}; in the runs of {name}, subject {subject} has {got}. {remedy}")
