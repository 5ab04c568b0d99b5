"""Runs of one network and method, pooled over folds and seeds into one table of test cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd

from kd_monai.errors import UserError
from kd_monai.metrics import CASE_COLUMNS, MORE_COLUMNS, case_values
from kd_monai.runs.read import EvaluatedRun
from kd_monai.task import REGIONS


@dataclass(frozen=True)
class PooledRuns:
    """Runs that differ in fold and seed alone.

    Attributes:
        role, method, modality: what they share.
        runs: at least one.
        cases: a row per subject; several seeds are averaged.
        variant: digest of the configuration that the runs share.
        differs: how that configuration differs from others of this role and method.
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
    def seeds(self) -> list[Any]:
        """Random seeds, in order."""
        return sorted({run.record["seed"] for run in self.runs}, key=str)

    @cached_property
    def by_seed(self) -> dict[Any, PooledRuns]:
        """Seed -> the runs with this seed, pooled."""
        return {seed: pool_runs([run for run in self.runs if run.record["seed"] == seed]) for seed in self.seeds}

    def values(self, metric: str, region: str) -> pd.Series:
        """`case_values` of its cases; a report asks dozens of times for each, so they are cached."""
        if (metric, region) not in self._values:
            self._values[metric, region] = case_values(self.cases, metric, region)
        return self._values[metric, region]


def pool_runs(runs: Sequence[EvaluatedRun], variant: str = "", differs: str = "") -> PooledRuns:
    """Average the seeds of each subject first, then put the test subjects of all folds together.

    Args:
        runs: of one role, method, modality and configuration.
        variant, differs: see `PooledRuns`.

    Raises:
        UserError: two runs of one fold and seed, a subject in two folds, or a subject whose reference is empty in one
            run and not in another.
    """
    first = runs[0]
    by_fold_and_seed: dict[tuple[Any, Any], EvaluatedRun] = {}
    for run in runs:
        fold, seed = run.record["fold"], run.record["seed"]
        other = by_fold_and_seed.setdefault((fold, seed), run)
        if other is not run:
            raise UserError(
                f"Pooled runs have one run per fold and seed; {other.folder} and {run.folder} are both fold {fold}, "
                f"seed {seed}. Move one of them out of the folder."
            )
    cases = pd.concat([run.cases.assign(fold=str(run.record["fold"])) for run in runs], ignore_index=True)
    _check_subjects(cases, first)
    scores = [column for column in CASE_COLUMNS[1:] if cases[column].dtype.kind == "f"]
    others = [column for column in CASE_COLUMNS[1:] if column not in scores]
    by_subject = cases.groupby("subject", sort=True)
    merged = pd.concat([by_subject[others].first(), by_subject[scores].mean()], axis=1)
    # some seeds of an older evaluation lack these: a mean over the other seeds is not the mean over all
    merged[MORE_COLUMNS] = merged[MORE_COLUMNS].where(by_subject[MORE_COLUMNS].count().eq(by_subject.size(), axis=0))
    merged = merged.reset_index()[list(CASE_COLUMNS)]
    role, method, modality = (first.record[key] for key in ("role", "method", "modality"))
    return PooledRuns(role, method, modality, tuple(runs), merged, variant, differs)


def _check_subjects(cases: pd.DataFrame, run: EvaluatedRun) -> None:
    name = "/".join(str(run.record[key]) for key in ("role", "method", "modality"))
    by_subject = cases.groupby("subject")
    rules = {"fold": ("A subject is tested in one fold", "Retrain with one split file (SPLIT=split.json).")} | {
        f"empty_{region}": (f"A subject has one reference ({region} empty or not)", "Evaluate the runs again.")
        for region in REGIONS
    }
    for column, (rule, remedy) in rules.items():
        several = by_subject[column].nunique()
        if (several > 1).any():
            subject = str(several[several > 1].index[0])
            values = ", ".join(str(value) for value in sorted(cases.loc[cases.subject == subject, column].unique()))
            raise UserError(f"{rule}; in the runs of {name}, subject {subject} has {values}. {remedy}")
