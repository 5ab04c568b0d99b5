"""Training curves: the teacher, the baseline and every student on the validation part."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from kd_monai.report.arms import arms_of
from kd_monai.report.comparable import Group
from kd_monai.report.figures.canvas import BLACK, TITLES, legend, line_styles, panels, title
from kd_monai.runs.read import run_curve


def curves_figure(group: Group, caption: str) -> Figure | None:
    """A panel per modality, a line per arm: the mean over its runs, which are thin; None where no journal tells.

    Args:
        group: whose runs are shown.
        caption: what they were measured on.
    """
    curves = []
    for arm in arms_of(group):
        told = [curve for run in arm.pool.runs if len(curve := run_curve(run.folder))]
        curves += [(arm, 100 * pd.concat(told, axis=1).sort_index())] if told else []
    if not curves:
        return None
    modalities = list(dict.fromkeys(arm.modality for arm, _ in curves))
    students = line_styles(list(dict.fromkeys(arm.name for arm, _ in curves if arm.role == "student")))
    styles = {"baseline": (BLACK, "s", "-"), "teacher": (BLACK, "D", "--")}
    figure, ((*axes,),) = panels(1, len(modalities), 2.9, 3.2, share="xy")
    for axis, modality in zip(axes, modalities, strict=True):
        for arm, runs in curves:
            if arm.modality == modality:
                colour, marker, dash = students.get(arm.name) or styles[arm.role]
                axis.plot(runs.index, runs, dash, color=colour, linewidth=0.6, alpha=0.35)
                # of the epochs at which all runs were validated
                mean = runs.mean(axis=1, skipna=False).dropna()
                axis.plot(mean.index, mean, dash, color=colour, marker=marker, markersize=3, label=arm.name)
        axis.set_title(TITLES.get(modality, modality), fontsize=10)
        axis.set_xlabel("epoch", fontsize=9)
        axis.locator_params(axis="x", integer=True)
    axes[0].set_ylabel("validation, mean Dice in %", fontsize=9)
    legend(figure)
    title(
        figure,
        "Training curves of teacher, baseline and students",
        f"{caption}. The validation part alone, on which each run's epoch is chosen: no test subject. Thick: mean over "
        "folds and seeds; thin: single runs.",
    )
    return figure
