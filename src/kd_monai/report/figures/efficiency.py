"""Label efficiency: how many labelled subjects reach what the baseline reaches with all of them."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from kd_monai.report.figures.canvas import BLACK, TITLES, legend, line_styles, panels, title
from kd_monai.report.label_efficiency import EVERY
from kd_monai.report.tables import all_first


def efficiency_figure(rows: pd.DataFrame, caption: str) -> Figure | None:
    """A panel for all modalities together and one for each; None without a student of fewer labels than the baseline's.

    Args:
        rows: of one family, as `label_efficiency` gives them.
        caption: what they were measured on.
    """
    students = rows[rows.role == "student"]
    fewer = students.n_labelled.round() < students.n_full.round()
    students = students[fewer.groupby([students.arm, students.modality]).transform("any")]
    if students.empty:
        return None
    modalities = all_first(students.modality)
    styles = line_styles(list(dict.fromkeys(students.arm)))
    figure, ((*axes,),) = panels(1, len(modalities), 2.9, 3.2, share="x")
    numbers = sorted({round(n) for n in rows.n_labelled.dropna()})  # means over folds: 11.7 and 12 would overlap
    apart = 0.012 * (numbers[-1] - numbers[0])
    for axis, modality in zip(axes, modalities, strict=True):
        own = rows[rows.modality == modality]
        base = own[own.role == "baseline"].sort_values("n_labelled")
        axis.plot(base.n_labelled, 100 * base["mean"], "-", color=BLACK, marker="s", markersize=5, label="baseline")
        target = 100 * float(base["mean"].iloc[-1])
        axis.axhline(target, color=BLACK, linestyle="--", linewidth=1)
        reached = []
        for i, (arm, (colour, marker, dash)) in enumerate(styles.items()):
            line = own[own.arm == arm].sort_values("n_labelled")
            x = line.n_labelled + apart * (i + 1)
            axis.plot(x, 100 * line["mean"], dash, color=colour, marker=marker, label=arm)
            axis.vlines(x, target + 100 * line.ci_low, target + 100 * line.ci_high, color=colour, alpha=0.6)
            first = line.assign(x=x)[line["diff"] >= 0].head(1)
            reached += [(first[first.n_labelled < first.n_full], colour)]  # with all of them it saves nothing
        bottom = axis.get_ylim()[0]
        for saving, colour in reached:
            axis.vlines(saving.x, bottom, 100 * saving["mean"], linestyle=":", color=colour)
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
        "no lower. Bars: 95 % interval of the paired difference, from the dashed line. Labelled: what a student and "
        "its teacher were trained on, without the validation part.",
    )
    return figure
