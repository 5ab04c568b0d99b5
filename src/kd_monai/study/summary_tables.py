"""A report in a few tables, arms by modalities: what README shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd

from kd_monai.study.report_rows import ALL, ENDPOINT
from kd_monai.study.report_tables import Row, endpoint_table, interval
from kd_monai.study.run_cost import MINUTES, SECONDS
from kd_monai.study.scores_text import TITLES
from kd_monai.study.table import Table

Cells = Mapping[tuple[str, str], Row]
SHOWN = ("TC", "WT", "ET_present")


def summary_tables(rows: pd.DataFrame) -> list[Table]:
    """Four tables of one group of runs; a row per arm, a column per modality.

    The primary endpoint of all modalities together, or of the only one; its difference to the baseline on each; Dice
    per region; what a step and a run cost. `report_tables` has the rest.

    Args:
        rows: as `report_rows` gives them.
    """
    modalities = [name for name in dict.fromkeys(rows.modality) if name != ALL]
    together = ALL if ALL in set(rows.modality) else modalities[0]
    return [
        endpoint_table(rows, together),
        _by_modality(
            rows,
            modalities,
            "Primary endpoint on each modality: difference to the baseline in points (the baseline: Dice in %)",
            _endpoint,
            "*: p < 0.05 after Holm's correction over the methods. An interval that contains zero shows no difference.",
        ),
        _by_modality(
            rows,
            modalities,
            f"Dice in %: {' / '.join(TITLES.get(region, region) for region in SHOWN)}, means over subjects",
            _regions,
            "ET present: without the subjects whose reference has no ET.",
        ),
        _by_modality(
            rows,
            modalities,
            "Cost of a training: seconds a step, and minutes from data check to scores and bundle",
            _cost,
            "Seconds a step: the median over epochs, other jobs of the machine included.",
        ),
    ]


def _by_modality(
    rows: pd.DataFrame, modalities: list[str], title: str, cell: Callable[[Cells], str], note: str
) -> Table:
    arms: dict[str, dict[str, dict[tuple[str, str], Row]]] = {}
    for row in rows.to_dict("records"):
        of_modality = arms.setdefault(row["arm"], {}).setdefault(row["modality"], {})
        of_modality[row["metric"], row["region"]] = row
    cells = [[arm, *(cell(found.get(modality, {})) for modality in modalities)] for arm, found in arms.items()]
    return Table(title, modalities, [line for line in cells if any(line[1:])], [note])


def _endpoint(found: Cells) -> str:
    row = found.get(("dice", ENDPOINT))
    if row is None:
        return ""
    if row["role"] == "baseline" or pd.isna(row["diff"]):
        return f"{100 * row['mean']:.1f}"
    return interval(row, 100, 1) + ("*" if row["p_holm"] < 0.05 else "")


def _regions(found: Cells) -> str:
    shown = [found.get(("dice", region)) for region in SHOWN]
    return " / ".join(f"{100 * row['mean']:.1f}" for row in shown if row is not None)


def _cost(found: Cells) -> str:
    step, whole = found.get((SECONDS, "")), found.get((MINUTES, ""))
    parts = ["" if step is None else f"{step['mean']:.2f} s", "" if whole is None else f"{whole['mean']:.1f} min"]
    return ", ".join(part for part in parts if part)
