"""Label efficiency: how many labelled subjects reach what the baseline reaches with all of them."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from kd_monai.study.figures.canvas import BLACK, TITLES, legend, line_styles, panels, shortened, title
from kd_monai.study.report_tables import all_first


def efficiency_figure(rows: pd.DataFrame, caption: str) -> Figure | None:
    """A panel for all modalities together and one for each; None without a student.

    Args:
        rows: of one family, as `label_efficiency` gives them.
        caption: what they were measured on.
    """
    students = rows[rows.role == "student"]
    students = students[students.groupby(["arm", "modality"]).n_train.transform("nunique") > 1]
    if students.empty:
        return None
    modalities = all_first(students.modality)
    styles = line_styles(list(dict.fromkeys(students.arm)))
    figure, ((*axes,),) = panels(1, len(modalities), 2.9, 3.2, share="x")
    numbers = sorted(rows.n_train.unique())
    for axis, modality in zip(axes, modalities, strict=True):
        own = rows[rows.modality == modality]
        base = own[own.role == "baseline"].sort_values("n_train")
        axis.plot(base.n_train, 100 * base["mean"], "-", color=BLACK, marker="s", markersize=5, label="baseline")
        target = 100 * float(base["mean"].iloc[-1])
        axis.axhline(target, color=BLACK, linestyle="--", linewidth=1)
        reached = []
        for arm, (colour, marker, dash) in styles.items():
            line = own[own.arm == arm].sort_values("n_train")
            axis.plot(line.n_train, 100 * line["mean"], dash, color=colour, marker=marker, label=shortened(arm))
            reached += [(line[line["diff"] >= 0].head(1), colour)]
        bottom = axis.get_ylim()[0]
        for first, colour in reached:
            fewer = first[first.n_train < numbers[-1]]  # with all of them it saves nothing
            axis.vlines(fewer.n_train, bottom, 100 * fewer["mean"], linestyle=":", color=colour)
        axis.set_ylim(bottom=bottom)
        axis.set_title(TITLES.get(modality, modality), fontsize=10)
        axis.set_xticks(numbers, [f"{n:.0f}" for n in numbers])
        axis.set_xlabel("labelled training subjects", fontsize=9)
    axes[0].set_ylabel("primary endpoint, Dice in %", fontsize=9)
    legend(figure, axes[0])
    title(
        figure,
        "Labelled subjects that a student needs to match the baseline that has all",
        f"{caption}. Dashed: the baseline with all. Dotted: the smallest number tried at which a student's mean is no "
        "lower; intervals stand in report.md.",
    )
    return figure
