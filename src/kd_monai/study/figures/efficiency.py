"""Label efficiency: how many labelled subjects reach what the baseline reaches with all of them."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kd_monai.study.figures.canvas import BLACK, TITLES, legend, line_styles, panels, title
from kd_monai.study.label_efficiency import EVERY
from kd_monai.study.report_tables import all_first


def efficiency_figure(rows: pd.DataFrame, caption: str) -> Figure | None:
    """A panel for all modalities together and one for each; None without a student that cost two numbers of labels.

    Args:
        rows: of one family, as `label_efficiency` gives them.
        caption: what they were measured on.
    """
    students = rows[rows.role == "student"]
    students = students[students.groupby(["arm", "modality"]).n_labelled.transform("nunique") > 1]
    if students.empty:
        return None
    modalities = all_first(students.modality)
    styles = line_styles(list(dict.fromkeys(students.arm)))
    figure, ((*axes,),) = panels(1, len(modalities), 2.9, 3.2, share="x")
    numbers = sorted({round(n) for n in rows.n_labelled.dropna()})  # means over folds: 11.7 and 12 would overlap
    for axis, modality in zip(axes, modalities, strict=True):
        own = rows[rows.modality == modality]
        base = own[own.role == "baseline"].sort_values("n_labelled")
        _draw(axis, base, fmt="s-", color=BLACK, markersize=5, label="baseline")
        target = 100 * float(base["mean"].iloc[-1])
        axis.axhline(target, color=BLACK, linestyle="--", linewidth=1)
        reached = []
        for arm, (colour, marker, dash) in styles.items():
            line = own[own.arm == arm].sort_values("n_labelled")
            _draw(axis, line, fmt=dash, color=colour, marker=marker, label=arm)
            reached += [(line[line["diff"] >= 0].head(1), colour)]
        bottom = axis.get_ylim()[0]
        for first, colour in reached:
            fewer = first[first.n_labelled < first.n_full]  # with all of them it saves nothing
            axis.vlines(fewer.n_labelled, bottom, 100 * fewer["mean"], linestyle=":", color=colour)
        axis.set_ylim(bottom=bottom)
        axis.set_title(TITLES.get(modality, modality), fontsize=10)
        axis.set_xticks(numbers)
        axis.set_xlabel("labelled subjects", fontsize=9)
    axes[0].set_ylabel("primary endpoint, Dice in %", fontsize=9)
    legend(figure)
    full = "all" if set(rows.against) == {EVERY} else "the most"
    title(
        figure,
        f"Labelled subjects that a student needs to match the baseline that has {full}",
        f"{caption}. Dashed: the baseline with {full}. Dotted: the smallest number tried at which a student's mean is "
        "no lower. Bars: 95 % interval of the paired difference to the dashed line. Labelled: what a student and its "
        "teacher were trained on, without the validation part.",
    )
    return figure


def _draw(axis: Axes, line: pd.DataFrame, **style: Any) -> None:
    """Means of an arm, each with the interval of its paired difference around it."""
    bounds = line[["ci_low", "ci_high"]].sub(line["diff"], axis=0).abs()
    axis.errorbar(line.n_labelled, 100 * line["mean"], 100 * bounds.to_numpy().T, capsize=3, elinewidth=1, **style)
