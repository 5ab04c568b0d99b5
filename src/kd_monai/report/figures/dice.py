"""Dice of every arm, per region and modality."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from kd_monai.metrics import mean_interval
from kd_monai.report.figures.canvas import BLACK, BLUE, GREEN, TITLES, describe, panels, shortened


class DicePlot:
    """Rows of panels for modalities, columns for regions: the subjects, their mean and its interval."""

    NAME = "dice"
    REGIONS: ClassVar = {"TC": "TC", "WT": "WT", "ET_present": "ET (if present)"}
    _COLOURS: ClassVar = {"teacher": GREEN, "baseline": BLACK, "student": BLUE}

    def data(self, cases: pd.DataFrame) -> pd.DataFrame:
        """Dice in % of each subject that has the region, see `cases_of`."""
        return cases.assign(dice=100 * cases.dice).dropna(subset="dice")

    def draw(self, data: pd.DataFrame, caption: str) -> Figure:
        """Draw it."""
        modalities = list(dict.fromkeys(data.modality))
        heights = [0.24 * len(set(data[data.modality == modality].arm)) + 0.85 for modality in modalities]
        figure, axes = panels(len(modalities) * 3, 1, share="x", ratios=heights)
        positions = [(modality, region) for modality in modalities for region in self.REGIONS]
        for i, (axis, (modality, region)) in enumerate(zip(axes, positions, strict=True)):
            of_modality = data[data.modality == modality]
            arms = list(dict.fromkeys(of_modality.arm))
            for (arm, role), of_arm in of_modality[of_modality.region == region].groupby(["arm", "role"], sort=False):
                row, colour = arms.index(arm), self._COLOURS[str(role)]
                # above and below the line in turn: subjects of equal Dice stay apart
                offsets = row + 0.12 * np.resize([-1, 0, 1], len(of_arm))
                axis.plot(of_arm.dice, offsets, ".", color=colour, alpha=0.25, markersize=6, markeredgewidth=0)
                mean = mean_interval(of_arm.dice)
                axis.plot([mean.low, mean.high], [row, row], color=colour, linewidth=2)
                axis.plot(mean.estimate, row, "D", color=colour, markersize=4)
            axis.set_xlim(-2, 102)
            axis.set_ylim(len(arms) - 0.5, -0.5)
            axis.set_yticks(range(len(arms)), [shortened(arm, 22) for arm in arms] if i % 3 == 0 else [])
            axis.set_title(f"{TITLES.get(modality, modality)}: {self.REGIONS[region]}", fontsize=10)
            axis.tick_params(labelsize=8)
            if modality == modalities[-1]:
                axis.set_xlabel("Dice in %", fontsize=9)
        describe(
            figure,
            "Dice per region and modality",
            f"{caption}. Dots: subjects, seeds averaged. Diamond and line: mean and 95 % bootstrap interval. Green: "
            "teacher; black: baseline; blue: students. The forest plot has the paired differences.",
        )
        return figure
