"""Training curves of teacher, baseline and students on the validation part."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from kd_monai.report.figures.canvas import BLACK, TITLES, describe, line_styles, panels


class Curves:
    """A panel per modality, a line per arm: the mean over its runs, which are thin lines."""

    NAME = "curves"

    def data(self, curves: pd.DataFrame) -> pd.DataFrame:
        """Dice in % of each run, see `curves_of`."""
        return curves.assign(dice=100 * curves.dice)

    def draw(self, data: pd.DataFrame, caption: str) -> Figure:
        """Draw it."""
        modalities = list(dict.fromkeys(data.modality))
        students = line_styles(list(dict.fromkeys(data[data.role == "student"].arm)))
        styles = {"baseline": (BLACK, "s", "-"), "teacher": (BLACK, "D", "--")}
        figure, axes = panels(len(modalities), 2.8, share="xy", columns=2)
        for axis, modality in zip(axes, modalities, strict=True):
            for (arm, role), of_arm in data[data.modality == modality].groupby(["arm", "role"], sort=False):
                runs = of_arm.pivot(index="epoch", columns="run", values="dice").sort_index()
                colour, marker, dash = students.get(str(arm)) or styles[str(role)]
                axis.plot(runs.index, runs, dash, color=colour, linewidth=0.5, alpha=0.25)
                # of the epochs at which all runs were validated
                mean = runs.mean(axis=1, skipna=False).dropna()
                axis.plot(mean.index, mean, dash, color=colour, marker=marker, markersize=3, label=arm)
            axis.set_title(TITLES.get(modality, modality), fontsize=10)
            axis.set_xlabel("epoch", fontsize=9)
            axis.set_ylabel("validation, mean Dice in %", fontsize=9)
            axis.locator_params(axis="x", integer=True)
        describe(
            figure,
            "Training curves of teacher, baseline and students",
            f"{caption}. Validation part alone, which chooses each run's epoch. Thick: mean over folds and seeds; "
            "thin: single runs.",
        )
        return figure
