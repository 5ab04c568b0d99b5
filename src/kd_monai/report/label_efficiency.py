"""How many labelled subjects a student with its teacher needs to match the baseline that has all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from kd_monai.metrics import ENDPOINT_REGIONS, endpoint, endpoint_interval
from kd_monai.report.arms import arms_of, names_over_numbers
from kd_monai.report.comparable import STUDY_KEYS, ComparableRuns, digest, shared_configuration_of
from kd_monai.report.endpoint import endpoint_table
from kd_monai.report.rows import ALL
from kd_monai.runs.read import EvaluatedRun, records_by_key

EVERY = "all"
"""``n_subjects`` and ``against`` of arms that were trained on all training subjects."""
_ARM = ["family", "arm", "role", "method", "modality", "n_subjects"]
_NUMBERS = ["n_train", "n_labelled", "n_val"]
COLUMNS = [*_ARM, *_NUMBERS, "mean", "diff", "ci_low", "ci_high", "n_paired", "against", "n_full"]


class LabelledRuns(NamedTuple):
    """Baselines and students with their numbers of training subjects, as two data frames.

    Both have family, arm, role, method, modality and ``n_subjects`` (the number that was asked for, or ``all``).

    Attributes:
        runs: a row per run: fold, ``n_train``, ``n_labelled`` (see `n_labelled`) and ``n_val``.
        cases: a row per test subject: the Dice of each of `ENDPOINT_REGIONS`.
    """

    runs: pd.DataFrame
    cases: pd.DataFrame


def labelled_runs(comparables: Sequence[ComparableRuns]) -> LabelledRuns:
    """Read how many labelled subjects each baseline and student had.

    Comparable runs that differ in that number alone are of one family. Runs that do not record it are left out.
    """
    folders = {run.folder.parent for one in comparables for pooled in one.pooled for run in pooled.runs}
    records = {key: record for folder in folders for key, record in records_by_key(folder).items()}
    families: dict[str, list[ComparableRuns]] = {}
    for comparable in comparables:
        families.setdefault(family_of(comparable), []).append(comparable)
    runs, cases = [], []
    for family, members in families.items():
        names = names_over_numbers(members)
        for comparable in members:
            n = comparable.facts["n_subjects"]
            arms = [arm for arm in arms_of(comparable) if arm.role in ("baseline", "student")]
            for arm in (arm for arm in arms if not np.isnan(arm.n_train)):
                for name in names[n, arm.modality, arm.name]:
                    values = (family, name, arm.role, arm.pooled.method, arm.modality, EVERY if n is None else n)
                    described = dict(zip(_ARM, values, strict=True))
                    for run in arm.pooled.runs:
                        counts = (run.get("n_train"), n_labelled(run, records), run.get("n_val"))
                        numbers = dict(zip(_NUMBERS, counts, strict=True))
                        runs.append({**described, "fold": str(run.record["fold"]), **numbers})
                    cases.append(endpoint_table(arm.pooled).reset_index(names="subject").assign(**described))
    return LabelledRuns(
        pd.DataFrame(runs, columns=[*_ARM, "fold", *_NUMBERS]).astype(dict.fromkeys(_NUMBERS, float)),
        pd.concat(cases, ignore_index=True) if cases else pd.DataFrame(columns=[*_ARM, "subject", *ENDPOINT_REGIONS]),
    )


def label_efficiency(labelled: LabelledRuns) -> pd.DataFrame:
    """The primary endpoint by number of labelled training subjects, against the baseline with the most of them.

    ``n_train``: subjects of the run; ``n_labelled``: those that the run and its teachers saw together, NaN where a
    teacher's run is not in the folder; ``n_val``: validation subjects, labelled too and in none of these. ``diff``,
    ``ci_low``, ``ci_high``: against the baseline with ``against`` subjects (``all``, or else the largest number), on
    the ``n_paired`` subjects that both were tested on; ``n_full``: its ``n_train``. Numbers are means over the folds
    that both have.

    Returns:
        A row per family, arm, modality (``all``: over all of the full baseline's) and ``n_subjects``. No row of a
        family with one number of subjects.
    """
    rows: list[dict[str, Any]] = []
    cases = {
        key: table.set_index("subject")[list(ENDPOINT_REGIONS)]
        for key, table in labelled.cases.groupby(_ARM, sort=False)
    }
    for _, runs in labelled.runs.groupby("family", sort=False):
        numbers = runs.n_subjects[runs.role == "baseline"].unique()
        if runs.n_subjects.nunique() < 2 or not len(numbers):
            continue
        against = max(numbers, key=lambda n: np.inf if n == EVERY else n)
        full_runs = runs[(runs.role == "baseline") & (runs.n_subjects == against)]
        full = {str(key[4]): key for key in dict.fromkeys(full_runs[_ARM].itertuples(index=False, name=None))}
        for _, arm_runs in runs.groupby(["role", "arm", "n_subjects"], sort=False):
            keys = {str(key[4]): key for key in dict.fromkeys(arm_runs[_ARM].itertuples(index=False, name=None))}
            keys = {modality: key for modality, key in keys.items() if modality in full}
            chosen = [[modality] for modality in keys]
            chosen += [list(full)] if len(full) > 1 and keys.keys() == full.keys() else []
            for modalities in chosen:
                tables = [cases[part[modality]] for part in (keys, full) for modality in modalities]
                joined = pd.concat(tables, axis=1, join="inner").sort_index().to_numpy(dtype=float)
                values, base = np.moveaxis(joined.reshape(len(joined), 2, len(modalities), -1), 1, 0)
                if not len(values) or np.isnan(endpoint(values - base)):
                    continue
                parts = [part[part.modality.isin(modalities)] for part in (arm_runs, full_runs)]
                folds = set(parts[0].fold) & set(parts[1].fold)
                arm_folds, reference = (part[part.fold.isin(folds)].groupby("fold")[_NUMBERS] for part in parts)
                family, name, role, method, _, n = next(iter(keys.values()))
                where = modalities[0] if len(modalities) == 1 else ALL
                # seeds first: folds count alike
                counts = [float(np.mean(arm_folds.agg(_mean)[column])) for column in _NUMBERS]
                n_full = float(np.mean(reference.agg(_mean)["n_train"]))
                values_of_row = (family, name, role, method, where, n, *counts, endpoint(values))
                values_of_row = (*values_of_row, *endpoint_interval(values - base), against, n_full)
                rows.append(dict(zip(COLUMNS, values_of_row, strict=True)))
    return pd.DataFrame(rows, columns=COLUMNS)


def n_labelled(run: EvaluatedRun, records: Mapping[str, Mapping[str, Any]]) -> float:
    """Labelled training subjects that a run and its teachers saw together, without the validation part.

    Training subjects of one fold and split are nested, so it is the largest number that any of them has. References
    that ``UNLABELLED`` withholds were seen by none of them.

    Args:
        run: a baseline or student.
        records: ``run.json`` by run key, of runs that may have taught it.

    Returns:
        NaN where one of them does not record it, or a teacher of the run's fold and split is not among the records.
    """
    teachers = [records.get(key, {}) for key in run.teacher_keys]
    if run.record["role"] == "student" and not teachers:
        return float("nan")
    if any(teacher.get(key) != run.record[key] for teacher in teachers for key in ("split_digest", "fold")):
        return float("nan")
    counts = [record.get("n_train") for record in (run.record, *teachers)]
    return float(np.max(np.array(counts, dtype=float)))  # of None NaN


def family_of(comparable: ComparableRuns) -> str:
    """Digest of all that comparable runs share which differ in the number of training subjects alone."""
    pools = comparable.pooled
    run = next((pooled for pooled in pools if pooled.role in ("baseline", "student")), pools[0]).runs[0]
    shared = {name: value for name, value in shared_configuration_of(run).items() if name != "n_subjects"}
    facts = {name: comparable.facts[name] for name in STUDY_KEYS if name != "n_subjects"}
    return digest({**facts, "shared": shared})


def _mean(values: pd.Series) -> float:
    return float(values.mean(skipna=False))
