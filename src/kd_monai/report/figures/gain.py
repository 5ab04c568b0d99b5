"""What a method gains, against the number of subjects that student and baseline were trained on."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from kd_monai.report.figures.canvas import TITLES, describe, line_styles, panels
from kd_monai.report.findings import all_first
from kd_monai.report.rows import ALL, ENDPOINT, widest


class Gain:
    """A panel for all modalities together and one for each, a line per student."""

    NAME = "gain"

    def data(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Differences of students that have several numbers of subjects, see `report_rows`."""
        gains = rows[
            (rows.metric == "dice") & (rows.region == ENDPOINT) & (rows.role == "student") & rows["diff"].notna()
        ]
        together = gains.modality == ALL
        # a line joins means over the same modalities alone
        gains = gains[gains.n_train.notna() & ~(together & (gains.over != widest(gains[together])))]
        return gains[gains.groupby(["arm", "modality"]).n_train.transform("nunique") > 1]

    def draw(self, data: pd.DataFrame, caption: str) -> Figure:
        """Draw it."""
        modalities = all_first(data)
        styles = line_styles(list(dict.fromkeys(data.arm)))
        figure, axes = panels(len(modalities), 2.8, share="xy")
        numbers = sorted(data.n_train.unique())
        step = 0.012 * (numbers[-1] - numbers[0])
        for i, (axis, modality) in enumerate(zip(axes, modalities, strict=True)):
            axis.axhline(0, color="black", linewidth=1)
            for j, (arm, (colour, marker, dash)) in enumerate(styles.items()):
                of_arm = data[(data.modality == modality) & (data.arm == arm)].sort_values("n_train")
                x, y = of_arm.n_train + step * (j - (len(styles) - 1) / 2), 100 * of_arm["diff"]
                axis.plot(x, y, dash, color=colour, marker=marker, markersize=5, label=arm)
                axis.vlines(x, 100 * of_arm.ci_low, 100 * of_arm.ci_high, color=colour, alpha=0.6)
            axis.set_title(TITLES.get(modality, modality), fontsize=10)
            axis.set_xticks(numbers, [f"{n:.0f}" for n in numbers])
            axis.set_xlabel("labelled training subjects", fontsize=9)
            if i % 3 == 0:
                axis.set_ylabel("student − baseline, Dice points", fontsize=9)
        describe(
            figure,
            "Gain in the primary endpoint against the number of training subjects",
            f"{caption}. Student and baseline have the same number. Lines: 95 % bootstrap intervals over subjects.",
        )
        return figure
