"""How many labelled subjects a student with its teacher needs to match the baseline that has all of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from kd_monai.metrics import endpoint, endpoint_interval
from kd_monai.study.arm import Arm, arms_of
from kd_monai.study.endpoint_contrast import endpoint_values
from kd_monai.study.group import Group
from kd_monai.study.report_rows import ALL
from kd_monai.study.report_tables import Row, all_first, contains_zero, interval
from kd_monai.study.setting import GROUP_KEYS, digest, shared_setting_of
from kd_monai.study.table import Table

COLUMNS = ["family", "arm", "role", "modality", "n_train", "mean", "diff", "ci_low", "ci_high", "n_paired", "n_full"]


def label_efficiency(groups: Sequence[Group]) -> pd.DataFrame:
    """The primary endpoint of baselines and students by number of labelled training subjects.

    Groups that differ in that number alone belong together. ``diff``, ``ci_low``, ``ci_high``: against the baseline
    that was trained on the most, ``n_full``, on the subjects that both were tested on (``n_paired``).

    Returns:
        A row per family of groups, arm, modality (``all``: over all of the full baseline's) and ``n_train``; none where
        only one number of subjects was tried.
    """
    families: dict[str, list[Group]] = {}
    for group in groups:
        families.setdefault(family_of(group), []).append(group)
    rows = [row for name, members in families.items() for row in _rows(name, members)]
    return pd.DataFrame(rows, columns=COLUMNS)


def efficiency_tables(rows: pd.DataFrame) -> list[Table]:
    """A table for all modalities together and for each one: arm and number of labelled subjects."""
    tables = []
    for family, of_family in rows.groupby("family", sort=False):
        several = f", setting {str(family)[:4]}" if rows.family.nunique() > 1 else ""
        for modality in all_first(of_family.modality):
            own = of_family[of_family.modality == modality].sort_values(["role", "arm", "n_train"])
            where = "all modalities" if modality == ALL else modality
            title = f"Label efficiency on {where}{several}: primary endpoint in %, difference in points to the baseline"
            cells = [
                [str(row["arm"]), f"{row['n_train']:.0f}", f"{100 * row['mean']:.1f}", interval(row, 100, 1)]
                for row in own.to_dict("records")
            ]
            tables.append(
                Table(f"{title} with all {own.n_full.iloc[0]:.0f}", ["labelled", "Dice", "difference"], cells)
            )
    return tables


def efficiency_words(rows: pd.DataFrame) -> list[str]:
    """What each student that was tried on several numbers needs; over all modalities where there are several."""
    words = []
    for (_, modality, arm), own in rows[rows.role == "student"].groupby(["family", "modality", "arm"], sort=False):
        if (modality != ALL and ALL in set(rows.modality)) or own.n_train.nunique() < 2:
            continue
        matching = own[own["diff"] >= 0].sort_values("n_train")
        full, where = own.n_full.iloc[0], "over all modalities" if modality == ALL else f"on {modality}"
        target = f"the baseline with all {full:.0f}"
        if matching.empty:
            best = own.sort_values("diff").iloc[-1].to_dict()
            words.append(
                f"{arm} {where}: with none of {_numbers(own)} labelled subjects does it match {target}; nearest is "
                f"{best['n_train']:.0f}, {interval(best, 100, 1)} Dice points."
            )
        else:
            words.append(_matched(str(arm), where, target, matching.iloc[0].to_dict()))
    return words


def _matched(arm: str, where: str, target: str, row: Row) -> str:
    said = (
        f"{arm} {where}: with {row['n_train']:.0f} labelled subjects it matches {target}, "
        f"{interval(row, 100, 1)} Dice points"
    )
    if not contains_zero(row):
        return said + "; the interval lies above zero."
    return said + "; the interval contains zero: no difference is shown, and equality is not proven."


def _numbers(own: pd.DataFrame) -> str:
    return ", ".join(f"{n:.0f}" for n in sorted(own.n_train))


def family_of(group: Group) -> str:
    """Digest of all that groups share which differ in the number of training subjects alone."""
    run = next((pool for pool in group.pools if pool.role in ("baseline", "student")), group.pools[0]).runs[0]
    shared = {name: value for name, value in shared_setting_of(run).items() if name != "n_subjects"}
    facts = {name: group.facts[name] for name in GROUP_KEYS if name != "n_subjects"}
    return digest({**facts, "shared": shared})


def _rows(family: str, groups: Sequence[Group]) -> list[dict[str, object]]:
    named: dict[tuple[str, str, float], list[Arm]] = {}
    for arm in (arm for group in groups for arm in arms_of(group) if arm.role in ("baseline", "student")):
        if not np.isnan(arm.n_train):
            named.setdefault((arm.role, arm.name, arm.n_train), []).append(arm)
    plain = {n: arms for (role, _, n), arms in named.items() if role == "baseline"}
    if len({n for _, _, n in named}) < 2 or not plain:
        return []
    most = max(plain)
    full = {arm.modality: arm for arm in plain[most]}
    rows: list[dict[str, object]] = []
    for (role, name, n), arms in named.items():
        own = {arm.modality: arm for arm in arms if arm.modality in full}
        chosen = [[modality] for modality in own]
        chosen += [list(full)] if len(full) > 1 and own.keys() == full.keys() else []
        for modalities in chosen:
            mine, base = endpoint_values([[part[m].pool for m in modalities] for part in (own, full)])
            if not len(mine) or np.isnan(endpoint(mine - base)):
                continue
            diff = endpoint_interval(mine - base)
            place = modalities[0] if len(modalities) == 1 else ALL
            values = (family, name, role, place, n, endpoint(mine), *diff, most)
            rows.append(dict(zip(COLUMNS, values, strict=True)))
    return rows
