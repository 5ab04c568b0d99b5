"""The tables of a report."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from kd_monai.metrics import LOWER_IS_BETTER
from kd_monai.report.arms import place
from kd_monai.report.rows import ALL, ENDPOINT, widest
from kd_monai.report.scores_text import TITLES
from kd_monai.report.table import Table, noted_once
from kd_monai.runs.read import COSTS, MEMORY, MINUTES, SECONDS
from kd_monai.task import REGIONS

Row = Mapping[Hashable, Any]
Cells = Mapping[tuple[str, str], Row]
"""(metric, region) -> row, of one arm and modality."""
PRESENT = (*REGIONS, "ET_present")
SCALE = {"dice": 100.0, "tuned_dice": 100.0, "ece": 100.0, "brier": 100.0}
_BASIS = "[95 % bootstrap interval over subjects]"
HOLM_NOTE = "*: p < 0.05 after Holm's correction over the methods. An interval that contains zero shows no difference."
COST_NOTE = (
    "Seconds a step: the median over epochs, other jobs of the machine included. Memory: allocated on a GPU; on a CPU "
    "resident, with what earlier cells of a study left in the same process: it depends on their order. Minutes: a "
    "run's, from data check to scores and bundle."
)


def report_tables(rows: pd.DataFrame) -> list[Table]:
    """Tables of one group of runs.

    Args:
        rows: as `report_rows` gives them.
    """
    modalities = all_first(rows.modality)
    tables = [endpoint_table(rows, modality) for modality in modalities]
    for modality in [name for name in modalities if name != ALL]:
        own = rows[rows.modality == modality]
        tables += [
            _scores(own, modality, "dice", "Dice in %"),
            _differences(own, modality, "dice", "Dice points"),
            _scores(own, modality, "hd95", "HD95 in mm"),
            _differences(own, modality, "hd95", "mm of HD95, negative is better"),
            _calibration(own, modality),
            _thresholds(own, modality),
            _costs(own, modality),
        ]
    return noted_once([table for table in tables if table.rows])


def all_first(modalities: Iterable[str]) -> list[str]:
    """Each modality once, ``all`` before the others where it is among them."""
    found = set(modalities)
    return [ALL] * (ALL in found) + sorted(found - {ALL}, key=place)


def endpoint_table(rows: pd.DataFrame, modality: str) -> Table:
    """The primary endpoint of every arm, on one modality or on ``all``; there one that lacks some says so."""
    found = rows[(rows.modality == modality) & (rows.metric == "dice") & (rows.region == ENDPOINT)]
    whole = widest(found)
    cells = [
        [
            _arm(row, whole), f"{100 * row['mean']:.1f}", interval(row, 100, 1),
            p_value(row["p_wilcoxon"]), p_value(row["p_holm"]), _counts(row), _gap(row), starred(verdict(row), row),
        ]
        for row in found.to_dict("records")
    ]  # fmt: skip
    over = f"{', '.join(whole.split())} together" if modality == ALL and len(found) else modality
    return Table(
        f"Primary endpoint on {over}: Dice in %, difference to the baseline in points",
        ["Dice", "difference", "p", "p Holm", "+/-/=", "gap closed", ""],
        cells,
        ["The mean of WT and TC over all subjects and of ET over those that have it. " + _explained(found)]
        if cells
        else (),
    )


def _arm(row: Row, over: str) -> str:
    return row["arm"] if row["over"] == over else f"{row['arm']}, on {', '.join(row['over'].split())} alone"


def interval(row: Row, scale: float, decimals: int, sign: str = "+") -> str:
    """Difference and bounds; empty where there is none. Bounds bear a sign, or with ``-`` a minus alone."""
    if pd.isna(row["diff"]):
        return ""
    values = [scale * row[name] for name in ("diff", "ci_low", "ci_high")]
    if pd.isna(row["ci_low"]):
        return f"{values[0]:+.{decimals}f}"
    difference, low, high = values
    return f"{difference:+.{decimals}f} [{low:{sign}.{decimals}f}, {high:{sign}.{decimals}f}]"


def starred(text: str, row: Row) -> str:
    """The text, with a star where `HOLM_NOTE` has one."""
    return text + ("*" if row["p_holm"] < 0.05 else "")


def contains_zero(row: Row) -> bool:
    """Whether the interval of a row does not tell its difference from zero; true where it is undefined."""
    return not (row["ci_low"] > 0 or row["ci_high"] < 0)


def verdict(row: Row) -> str:
    """A difference in a word."""
    if pd.isna(row["diff"]):
        return ""
    if pd.isna(row["ci_low"]):
        return "too few"
    if contains_zero(row):
        return "not shown"
    return "better" if (row["diff"] > 0) == (row["metric"] not in LOWER_IS_BETTER) else "worse"


def p_value(p: float) -> str:
    """Three digits; empty where nothing was tested."""
    return "" if pd.isna(p) else "<0.001" if p < 0.001 else f"{p:.3f}"


def _explained(found: pd.DataFrame) -> str:
    n = found.n_paired.dropna().unique()
    on = f" on {' or '.join(map(str, sorted(n)))} subjects" if len(n) else ""
    return (
        f"Differences are paired{on}, with a 95 % bootstrap interval over subjects (seeds averaged first); p: "
        "Wilcoxon's signed-rank test, Holm: corrected over the methods of this recipe, number of subjects and setting "
        "(one that changes what a student shares with its baseline has tables and a correction of its own); +/-/=: "
        "subjects that are better, worse, equal; last what the interval says, which is not corrected (not shown: it "
        "contains zero), with * where p < 0.05 after Holm."
    )


def _counts(row: Row) -> str:
    return "" if pd.isna(row["wins"]) else f"{row['wins']}/{row['losses']}/{row['ties']}"


def _gap(row: Row) -> str:
    value = pd.to_numeric(row["gap_closed"], errors="coerce")
    return "" if pd.isna(row["gap_closed"]) else str(row["gap_closed"]) if pd.isna(value) else f"{value:.2f}"


def by_arm(rows: pd.DataFrame) -> dict[str, dict[tuple[str, str], Row]]:
    """Arm -> (metric, region) -> row, in the order of the rows."""
    arms: dict[str, dict[tuple[str, str], Row]] = {}
    for row in rows.to_dict("records"):
        arms.setdefault(row["arm"], {})[row["metric"], row["region"]] = row
    return arms


def _scores(rows: pd.DataFrame, modality: str, metric: str, unit: str) -> Table:
    scale = SCALE.get(metric, 1)
    cells = [
        [name, *(_mean_std(found.get((metric, region)), scale) for region in PRESENT)]
        for name, found in by_arm(rows).items()
    ]
    kept = rows[(rows.metric == metric) & rows.region.isin(PRESENT)]
    empty = kept[kept.region == "ET"].n_empty
    note = f"ET present: without the {empty.max()} whose reference has no ET." if len(empty) else ""
    return Table(
        f"{unit} on {modality}, mean ± standard deviation over subjects",
        _titles(PRESENT),
        cells,
        [note] if note else (),
    )


def _differences(rows: pd.DataFrame, modality: str, metric: str, unit: str) -> Table:
    scale = SCALE.get(metric, 1)
    cells = []
    for name, found in by_arm(rows).items():
        texts = [
            starred(interval(row, scale, 1, "-"), row)
            for row in (found.get((metric, region)) for region in PRESENT)
            if row is not None
        ]
        cells += [[name, *texts]] if any(texts) and len(texts) == len(PRESENT) else []
    title = f"Difference to the baseline on {modality}, {unit} {_BASIS}"
    return Table(title, _titles(PRESENT), cells, [HOLM_NOTE])


def _calibration(rows: pd.DataFrame, modality: str) -> Table:
    wanted = [(metric, region) for metric in ("ece", "brier") for region in REGIONS]
    cells = []
    for name, found in by_arm(rows).items():
        if all(key in found for key in wanted):
            cells.append([name, *(f"{100 * found[key]['mean']:.2f}{_arrow(found[key])}" for key in wanted)])
    return Table(
        f"Calibration on {modality}, in %, lower is better",
        [f"{title} {region}" for title in ("ECE", "Brier") for region in REGIONS],
        cells,
        [
            "Expected calibration error in 15 bins of equal width and Brier score, over the brain's voxels of each "
            "subject, means over subjects. ↓ or ↑: lower or higher than the baseline, the 95 % interval without zero. "
            "The brain is where a modality that the network reads is not 0: a teacher's has other voxels than its "
            "students', so no difference is taken."
        ],
    )


def _arrow(row: Row) -> str:
    return "" if pd.isna(row["diff"]) or contains_zero(row) else "↓" if row["diff"] < 0 else "↑"


def _thresholds(rows: pd.DataFrame, modality: str) -> Table:
    cells = []
    for name, found in by_arm(rows).items():
        half, tuned = found.get(("dice", ENDPOINT)), found.get(("tuned_dice", ENDPOINT))
        if half is not None and tuned is not None:
            cells.append(
                [name, *(text for row in (half, tuned) for text in (f"{100 * row['mean']:.1f}", interval(row, 100, 1)))]
            )
    return Table(
        f"Primary endpoint on {modality} at probability 0.5, and at thresholds chosen on each run's validation part",
        ["at 0.5", "difference", "chosen", "difference"],
        cells,
        ["Every arm has its own thresholds per region; no test subject took part in their choice."],
    )


def _costs(rows: pd.DataFrame, modality: str) -> Table:
    arms = by_arm(rows)
    base: Cells = next((found for name, found in arms.items() if name == "baseline"), {})
    cells = []
    for name, found in arms.items():
        if not any((metric, "") in found for metric in COSTS):
            continue
        line = [name]
        for metric, decimals in ((SECONDS, 3), (MEMORY, 0)):
            own, reference = (part.get((metric, "")) for part in (found, base))
            line.append("" if own is None else f"{own['mean']:.{decimals}f}")
            line.append("" if own is None or reference is None else f"{own['mean'] / reference['mean']:.2f}")
        whole = found.get((MINUTES, ""))
        cells.append([*line, "" if whole is None else f"{whole['mean']:.1f}"])
    return Table(
        f"Cost of a training on {modality}",
        ["s a step", "x baseline", "peak MiB", "x baseline", "minutes"],
        cells,
        [COST_NOTE],
    )


def _mean_std(row: Row | None, scale: float) -> str:
    if row is None:
        return ""
    return f"{scale * row['mean']:.1f}" + (f" ± {scale * row['std']:.1f}" if row["n"] > 1 else "")


def _titles(regions: Sequence[str]) -> list[str]:
    return [TITLES.get(region, region) for region in regions]
