"""How many labelled subjects a student with its teacher needs to match the baseline that has all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from kd_monai.metrics import endpoint, endpoint_interval
from kd_monai.report.arms import Arm, arms_of, names_over_numbers, place
from kd_monai.report.comparable import Group
from kd_monai.report.endpoint import endpoint_values
from kd_monai.report.labelled import n_labelled
from kd_monai.report.rows import ALL
from kd_monai.report.setting import GROUP_KEYS, digest, shared_setting_of
from kd_monai.report.table import Table, noted_once
from kd_monai.report.tables import Row, all_first, contains_zero, interval
from kd_monai.runs.read import EvaluatedRun, records_by_key

COLUMNS = [
    "family", "arm", "role", "method", "modality", "n_subjects", "n_train", "n_labelled", "n_val", "mean", "diff",
    "ci_low", "ci_high", "n_paired", "against", "n_full",
]  # fmt: skip
EVERY = "all"
"""``n_subjects`` and ``against`` of those that were trained on all training subjects."""


def label_efficiency(groups: Sequence[Group]) -> pd.DataFrame:
    """The primary endpoint of baselines and students by number of labelled training subjects.

    Groups that differ in that number alone belong together. ``n_subjects``: the number asked for, or ``all``.
    ``n_train``: the run's own; ``n_labelled``: those that the run and its teachers saw together (`n_labelled`), NaN
    where a teacher's run is not in the same output folder; ``n_val``: of the validation part, labelled too and in none
    of these. ``diff``, ``ci_low``, ``ci_high``: against the baseline with ``against`` subjects, ``all`` or else the
    most that were tried, on the subjects that both were tested on (``n_paired``); ``n_full``: its ``n_train``. Numbers
    of subjects are means over the folds that both have.

    Returns:
        A row per family of groups, arm, modality (``all``: over all of the full baseline's) and ``n_subjects``; none
        where only one number of subjects was tried.
    """
    folders = {run.folder.parent for group in groups for pool in group.pools for run in pool.runs}
    records = {key: record for folder in folders for key, record in records_by_key(folder).items()}
    families: dict[str, list[Group]] = {}
    for group in groups:
        families.setdefault(family_of(group), []).append(group)
    found = [pd.DataFrame(_rows(name, members, records), columns=COLUMNS) for name, members in families.items()]
    whole = [rows for rows in found if len(rows)]
    return pd.concat(whole, ignore_index=True) if whole else pd.DataFrame(columns=COLUMNS)


def efficiency_tables(rows: pd.DataFrame) -> list[Table]:
    """A table for all modalities together and for each one: arm and number of labelled subjects, where it is known.

    Of the students, those alone that were tried on another number than the full baseline's; no table where no arm was.
    """
    tables = []
    for family, of_family in rows.groupby("family", sort=False):
        setting = f", setting {str(family)[:4]}" if rows.family.nunique() > 1 else ""
        for modality in all_first(of_family.modality):
            of_modality = of_family[of_family.modality == modality]
            known = _known(of_modality)
            fewer = _tried_on_fewer(known)
            if not fewer.any():
                continue
            own = known[fewer | (known.role == "baseline")].sort_values(["role", "arm", "n_labelled", "n_train"])
            where = "all modalities" if modality == ALL else modality
            title = f"Label efficiency on {where}{setting}: primary endpoint in %, difference in points to "
            cells = [
                [
                    str(row["arm"]), f"{row['n_labelled']:.0f}", f"{row['n_train']:.0f}", f"{100 * row['mean']:.1f}",
                    interval(row, 100, 1), str(row["n_paired"]),
                ]
                for row in own.to_dict("records")
            ]  # fmt: skip
            tables.append(
                Table(
                    title + _target(of_modality),
                    ["labelled", "its own", "Dice", "difference", "n"],
                    cells,
                    ["Labelled: subjects that a network and its teacher were trained on; n: test subjects compared."],
                )
            )
    return noted_once(tables)


def efficiency_words(rows: pd.DataFrame) -> list[str]:
    """What each student that was tried on fewer subjects needs, over all modalities where it has them.

    Then what is left out, and what is not counted.
    """
    words = []
    for _, of_arm in rows[rows.role == "student"].groupby(["family", "arm"], sort=False):
        arm, known = of_arm.arm.iloc[0], _known(of_arm)
        fewer = known[_tried_on_fewer(known)]
        for modality, own in fewer.groupby("modality", sort=False):
            if modality == ALL or ALL not in set(fewer.modality):
                every = ", ".join(sorted(set(fewer.modality) - {ALL}, key=place))
                where = f"over {every} together" if modality == ALL else f"on {modality}"
                words.append(f"{arm} {where}: {_needed(own)}")
        unknown = of_arm[of_arm.n_labelled.isna() & (of_arm.modality != ALL)]
        if len(unknown):
            numbers, places = (", ".join(map(str, unknown[name].unique())) for name in ("n_subjects", "modality"))
            words.append(
                f"Left out: {arm} on {places} with N_SUBJECTS={numbers}. Its teacher's run is not in this folder, so "
                "how many labelled subjects the two saw is not known."
            )
    if len(rows):
        counts = " to ".join(dict.fromkeys(f"{n:.0f}" for n in (rows.n_val.min(), rows.n_val.max()) if pd.notna(n)))
        words.append(
            f"Not counted as labelled: the {counts + ' ' if counts else ''}validation subjects of each run, whose "
            "references choose its epoch and its thresholds."
        )
    return words


def _known(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows.n_labelled.notna()]


def _tried_on_fewer(rows: pd.DataFrame) -> pd.Series:
    """Rows of the arms and modalities that have one of another number of subjects than the full baseline's."""
    other = rows.n_subjects.map(str) != rows.against.map(str)
    return other.groupby([rows.arm, rows.modality]).transform("any")


def _target(own: pd.DataFrame) -> str:
    # a fold that an arm lacks does not count in its row
    row = own.sort_values("n_paired").iloc[-1]
    return f"the baseline with {'all ' if row['against'] == EVERY else ''}{row['n_full']:.0f}"


def _needed(own: pd.DataFrame) -> str:
    matching = own[own["diff"] >= 0].sort_values(["n_labelled", "n_train"])
    if matching.empty:
        tried = ", ".join(_count(row) for row in own.sort_values(["n_labelled", "n_train"]).to_dict("records"))
        best = own.sort_values("diff").iloc[-1].to_dict()
        return (
            f"with none of {tried} labelled subjects does it match {_target(own)}; nearest is {_count(best)}, "
            f"{interval(best, 100, 1)} Dice points."
        )
    row = matching.iloc[0].to_dict()
    saves = "" if row["n_labelled"] < row["n_full"] else ", which saves no labels"
    said = (
        f"with {_count(row)} labelled subjects it matches {_target(matching.head(1))}{saves}, "
        f"{interval(row, 100, 1)} Dice points"
    )
    if not contains_zero(row):
        return said + "; the interval lies above zero."
    return said + "; the interval contains zero: no difference is shown, and equality is not proven."


def _count(row: Row) -> str:
    own = f" ({row['n_train']:.0f} its own, the others its teacher's)" if row["n_train"] < row["n_labelled"] else ""
    return f"{row['n_labelled']:.0f}{own}"


def family_of(group: Group) -> str:
    """Digest of all that groups share which differ in the number of training subjects alone."""
    run = next((pool for pool in group.pools if pool.role in ("baseline", "student")), group.pools[0]).runs[0]
    shared = {name: value for name, value in shared_setting_of(run).items() if name != "n_subjects"}
    facts = {name: group.facts[name] for name in GROUP_KEYS if name != "n_subjects"}
    return digest({**facts, "shared": shared})


def _rows(family: str, groups: Sequence[Group], records: Mapping[str, Mapping[str, Any]]) -> list[dict[str, object]]:
    named: dict[tuple[str, str, int | None], dict[str, Arm]] = {}
    names = names_over_numbers(groups)
    for group in groups:
        n = group.facts["n_subjects"]
        for arm in arms_of(group):
            if arm.role in ("baseline", "student") and not np.isnan(arm.n_train):
                for name in names[n, arm.modality, arm.name]:
                    named.setdefault((arm.role, name, n), {})[arm.modality] = arm
    plain = {n: arms for (role, _, n), arms in named.items() if role == "baseline"}
    if len({n for _, _, n in named}) < 2 or not plain:
        return []
    most = max(plain, key=lambda n: np.inf if n is None else n)
    full = plain[most]
    rows: list[dict[str, object]] = []
    for (role, name, n), arms in named.items():
        own = {modality: arm for modality, arm in arms.items() if modality in full}
        chosen = [[modality] for modality in own]
        chosen += [list(full)] if len(full) > 1 and own.keys() == full.keys() else []
        for modalities in chosen:
            mine, base = endpoint_values([[part[m].pool for m in modalities] for part in (own, full)])
            if not len(mine) or np.isnan(endpoint(mine - base)):
                continue
            runs, full_runs = ([run for m in modalities for run in part[m].pool.runs] for part in (own, full))
            folds = {run.record["fold"] for run in runs} & {run.record["fold"] for run in full_runs}
            place = modalities[0] if len(modalities) == 1 else ALL
            counts = [
                _mean_over(folds, runs, lambda run: run.get("n_train")),
                _mean_over(folds, runs, lambda run: n_labelled(run, records)),
                _mean_over(folds, runs, lambda run: run.get("n_val")),
            ]
            diff = endpoint_interval(mine - base)
            number, against = (EVERY if asked is None else asked for asked in (n, most))
            n_full = _mean_over(folds, full_runs, lambda run: run.get("n_train"))
            method = next(iter(own.values())).pool.method
            values = (family, name, role, method, place, number, *counts, endpoint(mine), *diff, against, n_full)
            rows.append(dict(zip(COLUMNS, values, strict=True)))
    return rows


def _mean_over(folds: set[Any], runs: Iterable[EvaluatedRun], count: Callable[[EvaluatedRun], float | None]) -> float:
    """Mean of a number of subjects over folds, whose seeds are averaged first; NaN where a run does not say."""
    by_fold: dict[Any, list[float | None]] = {}
    for run in runs:
        if run.record["fold"] in folds:
            by_fold.setdefault(run.record["fold"], []).append(count(run))
    return float(np.mean([np.mean(np.array(counts, dtype=float)) for counts in by_fold.values()]))
