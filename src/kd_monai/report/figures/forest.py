"""Forest plot: every method's paired difference to the baseline in the primary endpoint."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from kd_monai.report.figures.canvas import BLUE, GREY, ORANGE, TITLES, panels, shortened, title
from kd_monai.report.rows import ENDPOINT
from kd_monai.report.tables import all_first, contains_zero


def forest_figure(rows: pd.DataFrame, caption: str) -> Figure | None:
    """A panel for all modalities together and one for each, a line per student; None without a difference.

    Filled: the interval lies on one side of zero. The teacher's lead stands in a panel's title: drawn, it would squeeze
    the students together.

    Args:
        rows: as `report_rows` gives them.
        caption: what they were measured on.
    """
    found = rows[(rows.metric == "dice") & (rows.region == ENDPOINT) & rows["diff"].notna()]
    students = found[found.role == "student"]
    if students.empty:
        return None
    modalities = all_first(students.modality)
    arms = list(dict.fromkeys(students.arm))
    figure, ((*axes,),) = panels(1, len(modalities), 2.6, 0.35 * len(arms) + 0.6, share="xy")
    for axis, modality in zip(axes, modalities, strict=True):
        axis.axvline(0, color="black", linewidth=1)
        for row in students[students.modality == modality].to_dict("records"):
            colour = GREY if contains_zero(row) else BLUE if row["diff"] > 0 else ORANGE
            place, low, high = arms.index(row["arm"]), 100 * row["ci_low"], 100 * row["ci_high"]
            axis.plot([low, high], [place, place], color=colour, linewidth=1.8)
            axis.plot(100 * row["diff"], place, "o", color=colour, mfc="white" if contains_zero(row) else colour)
        lead = found[(found.role == "teacher") & (found.modality == modality)]
        said = f"\nteacher {100 * lead['diff'].iloc[0]:+.1f}" if len(lead) == 1 else ""
        axis.set_title(f"{TITLES.get(modality, modality)}{said}", fontsize=10)
        axis.set_xlabel("Dice points", fontsize=9)
    axes[0].set_yticks(range(len(arms)), [shortened(name) for name in arms])
    axes[0].set_ylim(len(arms) - 0.5, -0.5)
    title(
        figure,
        "Student − baseline in the primary endpoint, with 95 % interval",
        f"{caption}. Endpoint: mean of Dice of WT and TC over all subjects and of ET over those that have it. "
        "Bootstrap over subjects, seeds averaged first. Hollow: the interval contains zero.",
    )
    return figure
