"""Scores of pools as a terminal shows them, at most 100 columns wide."""

from __future__ import annotations

import textwrap
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from kd_monai.metrics import summarise
from kd_monai.report.pooled import Pool
from kd_monai.task import REGIONS

WIDTH = 100
SHOWN = {
    "dice": (*REGIONS, "ET_present", "mean"),
    "hd95": (*REGIONS, "ET_present"),
    "sensitivity": REGIONS,
    "specificity": REGIONS,
}
"""Metric -> regions of a table's columns; see `kd_monai.metrics.SUMMARY_ROWS`."""
NAMES = {"dice": "Dice", "hd95": "HD95 mm", "sensitivity": "Sensitivity", "specificity": "Specificity"}
TITLES = {"ET_present": "ET present"}
DECIMALS = {"dice": 3, "hd95": 1, "sensitivity": 3, "specificity": 4}


def scores_text(pools: Sequence[Pool]) -> str:
    """What was scored, then mean ± std over the cases: a table per metric, a row per pool.

    ``ET present`` is ET over the cases whose reference is not empty.
    """
    return "\n\n".join([_facts(pools), *(_table(metric, pools) for metric in SHOWN)])


def wrap(text: str) -> str:
    """Prose in lines of the terminal's width."""
    return textwrap.fill(text, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _facts(pools: Sequence[Pool]) -> str:
    networks = [pool for pool in pools if pool.role != "fixed_mask"] or pools
    described = {pool.title: _pool_facts(pool) for pool in networks}
    if len(set(described.values())) == 1:
        return wrap(next(iter(described.values())))
    return "\n".join(wrap(f"{title}: {fact}") for title, fact in described.items())


def _pool_facts(pool: Pool) -> str:
    grids = sorted(set(pool.cases.spacing_mm) - {""})
    grid = f"scored at {'; '.join(grids[:3])}{' and others' * (len(grids) > 3)} mm" if grids else "spacing not recorded"
    folds, seeds = (", ".join(map(str, values)) for values in (pool.folds, pool.seeds))
    empty = ", ".join(f"{region} {pool.cases[f'empty_{region}'].sum()}" for region in REGIONS)
    return f"n = {len(pool.cases)}, fold {folds}, seed {seeds}, {grid}; empty references: {empty}"


def _table(metric: str, pools: Sequence[Pool]) -> str:
    regions = SHOWN[metric]
    width = 14 if len(regions) > 3 else 18
    lines = [
        f"{NAMES[metric] + ', mean ± std':<28}" + "".join(f"{TITLES.get(name, name):>{width}}" for name in regions)
    ]
    for pool in pools:
        rows = {(row["metric"], row["region"]): row for row in summarise(pool.cases).to_dict("records")}
        cells = [_mean_std(rows[metric, name], DECIMALS[metric]) for name in regions]
        title = pool.title if len(pool.title) <= 27 else pool.title[:26] + "…"
        lines.append(f"{title:<28}" + "".join(f"{cell:>{width}}" for cell in cells))
    return "\n".join(lines)


def _mean_std(row: Mapping[Hashable, Any], decimals: int) -> str:
    if not row["n"]:
        return "none"
    return f"{row['mean']:.{decimals}f}" + (f" ± {row['std']:.{decimals}f}" if row["n"] > 1 else "")
