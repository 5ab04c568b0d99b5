"""A report in a few tables, arms by modalities: what README shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from kd_monai.report.rows import ALL, ENDPOINT
from kd_monai.report.scores_text import TITLES
from kd_monai.report.table import Table, noted_once
from kd_monai.report.tables import (
    COST_NOTE,
    HOLM_NOTE,
    Cells,
    by_arm,
    endpoint_table,
    interval,
    starred,
)
from kd_monai.runs.read import MEMORY, MINUTES, SECONDS

PER_REGION = ("TC", "WT", "ET_present")


def summary_tables(rows: pd.DataFrame) -> list[Table]:
    """The tables of one group of runs that README shows; `report_tables` has the rest.

    The primary endpoint over all modalities together and, in a table with a column per modality, its difference to
    the baseline on each; where no arm has all of them, a table of the endpoint per modality. Then Dice per region, with
    a column per modality again, and what a training costs. A table with nothing to say is left out.

    Args:
        rows: as `report_rows` gives them.
    """
    modalities = [name for name in dict.fromkeys(rows.modality) if name != ALL]
    if ALL in set(rows.modality):
        tables = [
            endpoint_table(rows, ALL),
            _by_modality(
                rows,
                modalities,
                "Primary endpoint on each modality: difference to the baseline in points (the baseline: Dice in %)",
                _endpoint,
                [HOLM_NOTE],
            ),
        ]
    else:
        tables = [endpoint_table(rows, modality) for modality in modalities]
    tables += [
        _by_modality(
            rows,
            modalities,
            f"Dice in %: {' / '.join(TITLES.get(region, region) for region in PER_REGION)}, means over subjects",
            _regions,
            ["ET present: without the subjects whose reference has no ET. A teacher reads its own modalities in all."],
        ),
        _cost(rows),
    ]
    return noted_once([table for table in tables if table.rows])


def _by_modality(
    rows: pd.DataFrame, modalities: Sequence[str], title: str, cell: Callable[[Cells], str], notes: Sequence[str]
) -> Table:
    found = {modality: by_arm(rows[rows.modality == modality]) for modality in modalities}
    lines = [[arm, *(cell(found[modality].get(arm, {})) for modality in modalities)] for arm in by_arm(rows)]
    return Table(title, modalities, [line for line in lines if any(line[1:])], notes)


def _endpoint(found: Cells) -> str:
    row = found.get(("dice", ENDPOINT))
    if row is None:
        return ""
    return f"{100 * row['mean']:.1f}" if row["role"] == "baseline" else starred(interval(row, 100, 1), row)


def _regions(found: Cells) -> str:
    shown = [found.get(("dice", region)) for region in PER_REGION]
    return " / ".join("–" if row is None else f"{100 * row['mean']:.1f}" for row in shown) if any(shown) else ""


def _cost(rows: pd.DataFrame) -> Table:
    """One line an arm: which modality a network reads changes nothing."""
    lines = []
    for arm in by_arm(rows):
        own = rows[(rows.arm == arm) & (rows.modality != ALL)]
        means = [own[own.metric == metric]["mean"].mean() for metric in (SECONDS, MEMORY, MINUTES)]
        lines.append(
            [
                arm,
                *(
                    "" if pd.isna(value) else f"{value:.{digits}f}"
                    for value, digits in zip(means, (3, 0, 1), strict=True)
                ),
            ]
        )
    return Table(
        "Cost of a training, means over runs and modalities",
        ["seconds a step", "peak memory, MiB", "minutes"],
        [line for line in lines if any(line[1:])],
        [COST_NOTE],
    )
