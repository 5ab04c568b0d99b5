"""Dice of every arm, per region and modality."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from kd_monai.metrics import case_values, mean_interval
from kd_monai.report.arms import arms_of
from kd_monai.report.comparable import Group
from kd_monai.report.figures.canvas import BLACK, BLUE, GREEN, TITLES, panels, shortened, title

_REGIONS = {"TC": "TC", "WT": "WT", "ET_present": "ET, where there is some"}
_COLOURS = {"teacher": GREEN, "baseline": BLACK, "student": BLUE}


def dice_figure(group: Group, caption: str) -> Figure | None:
    """Rows of panels for modalities, columns for regions: the subjects, their mean and its interval.

    Args:
        group: whose runs are shown.
        caption: what they were measured on.
    """
    arms = arms_of(group)
    modalities = list(dict.fromkeys(arm.modality for arm in arms))
    most = max(sum(arm.modality == modality for arm in arms) for modality in modalities)
    figure, axes = panels(len(modalities), len(_REGIONS), 3.3, 0.3 * most + 0.75, share="x")
    for line, modality in zip(axes, modalities, strict=True):
        own = [arm for arm in arms if arm.modality == modality]
        for axis, (region, named) in zip(line, _REGIONS.items(), strict=True):
            for place, arm in enumerate(own):
                values = 100 * case_values(arm.pool.cases, "dice", region).dropna().to_numpy()
                # above and below the line in turn: subjects of equal Dice stay apart
                beside = place + 0.12 * np.resize([-1, 0, 1], len(values))
                axis.plot(values, beside, ".", color=_COLOURS[arm.role], alpha=0.25, markersize=4)
                mean = mean_interval(values)
                axis.plot([mean.low, mean.high], [place, place], color=_COLOURS[arm.role], linewidth=2)
                axis.plot(mean.estimate, place, "D", color=_COLOURS[arm.role], markersize=5)
            axis.set_xlim(-2, 102)
            axis.set_ylim(len(own) - 0.5, -0.5)
            axis.set_yticks(range(len(own)), [shortened(arm.name) for arm in own] if axis is line[0] else [])
            axis.set_title(f"{TITLES.get(modality, modality)}: {named}", fontsize=10)
            axis.tick_params(labelsize=9)
    for axis in axes[-1]:
        axis.set_xlabel("Dice in %", fontsize=9)
    title(
        figure,
        "Dice per region and modality",
        f"{caption}. Dots: subjects, seeds averaged; diamond and line: mean and 95 % bootstrap interval. Green "
        "teacher, black baseline, blue students. Unpaired: differences are in the forest plot.",
    )
    return figure
