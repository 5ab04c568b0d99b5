"""What a method gains, against the number of subjects that student and baseline were trained on."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from kd_monai.report.figures.canvas import TITLES, legend, line_styles, panels, title
from kd_monai.report.rows import ALL, ENDPOINT, widest
from kd_monai.report.tables import all_first


def gain_figure(rows: pd.DataFrame, caption: str) -> Figure | None:
    """A panel for all modalities together and one for each; None where no student has two numbers of subjects.

    Args:
        rows: of several groups, as `report_rows` gives them.
        caption: what they were measured on.
    """
    found = rows[(rows.metric == "dice") & (rows.region == ENDPOINT) & (rows.role == "student") & rows["diff"].notna()]
    together = found.modality == ALL
    # means over other modalities than the others' are no points of one line
    found = found[found.n_train.notna() & ~(together & (found.over != widest(found[together])))]
    found = found[found.groupby(["arm", "modality"]).n_train.transform("nunique") > 1]
    if found.empty:
        return None
    modalities = all_first(found.modality)
    styles = line_styles(list(dict.fromkeys(found.arm)))
    figure, ((*axes,),) = panels(1, len(modalities), 2.9, 3.2, share="xy")
    numbers = sorted(found.n_train.unique())
    apart = 0.012 * (numbers[-1] - numbers[0])
    for axis, modality in zip(axes, modalities, strict=True):
        axis.axhline(0, color="black", linewidth=1)
        for i, (arm, (colour, marker, dash)) in enumerate(styles.items()):
            own = found[(found.modality == modality) & (found.arm == arm)].sort_values("n_train")
            x, y = own.n_train + apart * (i - (len(styles) - 1) / 2), 100 * own["diff"]
            axis.plot(x, y, dash, color=colour, marker=marker, markersize=5, label=arm)
            axis.vlines(x, 100 * own.ci_low, 100 * own.ci_high, color=colour, alpha=0.6)
        axis.set_title(TITLES.get(modality, modality), fontsize=10)
        axis.set_xticks(numbers, [f"{n:.0f}" for n in numbers])
        axis.set_xlabel("labelled training subjects", fontsize=9)
    axes[0].set_ylabel("student − baseline, Dice points", fontsize=9)
    legend(figure)
    title(
        figure,
        "Gain in the primary endpoint against the number of training subjects",
        f"{caption}. Student and baseline have the same number; lines: 95 % bootstrap intervals over test subjects.",
    )
    return figure
