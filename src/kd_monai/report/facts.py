"""What a report's numbers were measured on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kd_monai.report.comparable import Group
from kd_monai.report.pooled import Pool
from kd_monai.runs.read import hardware_of, run_cost


def report_heading(group: Group) -> str:
    """Recipe, number of training subjects and setting, which tell one group from the others."""
    facts = group.facts
    heading = f"Recipe {facts['recipe']}"
    if facts["n_subjects"] is not None:
        heading += f", {facts['n_subjects']} training subjects"
    return heading + (f", {group.differs}" if group.differs else "")


def report_facts(group: Group) -> list[str]:
    """n, resolution, folds, seeds and hardware; then the digests of data and split."""
    facts = group.facts
    digests = f"data {group.data}, split {str(facts['split_digest'])[:8]}, labels {facts['labels']}"
    return [f"{short_facts([group])}; {_hardware(group)}.", f"Digests: {digests}, setting {facts['setting']}."]


def short_facts(groups: Sequence[Group]) -> str:
    """n, resolution, folds and seeds of baselines and students in one line."""
    pools = [pool for group in groups for pool in group.pools if pool.role in ("baseline", "student")]
    counts = sorted({len(pool.cases) for pool in pools})
    n = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    folds = sorted({str(fold) for pool in pools for fold in pool.folds})
    seeds = sorted({str(seed) for pool in pools for seed in pool.seeds}, key=lambda text: (len(text), text))
    of = _one({run.config.get("folds") for pool in pools for run in pool.runs})
    trained = _one({_spacing(run.get("spacing_mm")) for pool in pools for run in pool.runs})
    scored = sorted({text for pool in pools for text in pool.cases.spacing_mm} - {""})
    where = f"trained at {trained} mm" if trained else "resolution of training not recorded"
    where += f", scored at {scored[0]} mm" if len(scored) == 1 else f", scored on {len(scored)} grids" if scored else ""
    plural = "s" * (len(folds) > 1), "s" * (len(seeds) > 1)
    return (
        f"n = {n} test subjects, {where}, fold{plural[0]} {', '.join(folds)}{f' of {of}' if of else ''}, "
        f"seed{plural[1]} {', '.join(seeds)}"
    )


def _hardware(group: Group) -> str:
    pools: list[Pool] = [pool for pool in group.pools if pool.role != "fixed_mask"]
    return hardware_of(run_cost(run.folder) for pool in pools for run in pool.runs)


def _one(values: set[Any]) -> str:
    known = sorted(str(value) for value in values - {None})
    return known[0] if len(known) == 1 else ", ".join(known)


def _spacing(value: Any) -> str | None:
    sides = value if isinstance(value, list) else [value]
    if None in sides:
        return None
    return " x ".join(f"{side:g}" for side in dict.fromkeys(sides))
