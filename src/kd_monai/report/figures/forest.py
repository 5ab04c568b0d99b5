"""Forest plot: every method's paired difference to the baseline in the primary endpoint."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from kd_monai.report.figures.canvas import BLUE, GREY, ORANGE, TITLES, describe, panels, shortened
from kd_monai.report.findings import all_first
from kd_monai.report.rows import ENDPOINT, contains_zero


class ForestPlot:
    """A panel for all modalities together and one for each, a line per student.

    The teacher's lead is in a panel's title: as a line it would squeeze the students together.
    """

    NAME = "forest"

    def data(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Differences in the primary endpoint of teachers and students, see `report_rows`; empty without a student."""
        gains = rows[(rows.metric == "dice") & (rows.region == ENDPOINT) & rows["diff"].notna()]
        return gains[gains.modality.isin(gains[gains.role == "student"].modality)]

    def draw(self, data: pd.DataFrame, caption: str) -> Figure:
        """Draw it."""
        students = data[data.role == "student"]
        modalities = all_first(students)
        arms = list(dict.fromkeys(students.arm))
        figure, axes = panels(len(modalities), 0.24 * len(arms) + 0.9, share="xy")
        for axis, modality in zip(axes, modalities, strict=True):
            axis.axvline(0, color="black", linewidth=1)
            for row in students[students.modality == modality].to_dict("records"):
                colour = GREY if contains_zero(row) else BLUE if row["diff"] > 0 else ORANGE
                height, low, high = arms.index(row["arm"]), 100 * row["ci_low"], 100 * row["ci_high"]
                axis.plot([low, high], [height, height], color=colour, linewidth=1.8)
                axis.plot(100 * row["diff"], height, "o", color=colour, mfc="white" if contains_zero(row) else colour)
            lead = data[(data.role == "teacher") & (data.modality == modality)]
            more = f" (teacher {100 * lead['diff'].iloc[0]:+.1f})" if len(lead) == 1 else ""
            axis.set_title(f"{TITLES.get(modality, modality)}{more}", fontsize=10)
            axis.set_xlabel("Dice points", fontsize=9)
        axes[0].set_yticks(range(len(arms)), [shortened(name, 24) for name in arms])
        axes[0].set_ylim(len(arms) - 0.5, -0.5)
        describe(
            figure,
            "Student − baseline in the primary endpoint, with 95 % interval",
            f"{caption}. Endpoint: mean Dice of WT, TC and ET, where ET counts only subjects that have it. Bootstrap "
            "over subjects, seeds averaged first. Hollow: the interval contains zero.",
        )
        return figure
