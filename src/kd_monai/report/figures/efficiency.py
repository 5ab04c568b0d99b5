"""Label efficiency: how many labelled subjects reach what the baseline reaches with all of them."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from kd_monai.report.figures.canvas import BLACK, TITLES, describe, line_styles, panels
from kd_monai.report.findings import all_first
from kd_monai.report.label_efficiency import EVERY


class LabelEfficiency:
    """A panel for all modalities together and one for each: Dice by number of labelled subjects."""

    NAME = "label_efficiency"

    def data(self, efficiency: pd.DataFrame) -> pd.DataFrame:
        """Baselines, and students that have a number of labels below the baseline's; empty without such a student."""
        students = efficiency[efficiency.role == "student"]
        fewer = students.n_labelled.round() < students.n_full.round()
        students = students[fewer.groupby([students.arm, students.modality]).transform("any")]
        if students.empty:
            return students
        baselines = efficiency[(efficiency.role == "baseline") & efficiency.modality.isin(students.modality)]
        return pd.concat([baselines, students])

    def draw(self, data: pd.DataFrame, caption: str) -> Figure:
        """Draw it."""
        modalities = all_first(data)
        styles = line_styles(list(dict.fromkeys(data[data.role == "student"].arm)))
        figure, axes = panels(len(modalities), 2.8, share="x")
        numbers = sorted({round(n) for n in data.n_labelled.dropna()})  # means over folds: 11.7 and 12 would overlap
        step = 0.012 * (numbers[-1] - numbers[0])
        for i, (axis, modality) in enumerate(zip(axes, modalities, strict=True)):
            of_modality = data[data.modality == modality]
            base = of_modality[of_modality.role == "baseline"].sort_values("n_labelled")
            axis.plot(base.n_labelled, 100 * base["mean"], "-", color=BLACK, marker="s", markersize=5, label="baseline")
            target = 100 * float(base["mean"].iloc[-1])
            axis.axhline(target, color=BLACK, linestyle="--", linewidth=1)
            reached = []
            for j, (arm, (colour, marker, dash)) in enumerate(styles.items()):
                line = of_modality[of_modality.arm == arm].sort_values("n_labelled")
                x = line.n_labelled + step * (j + 1)
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
            if i % 3 == 0:
                axis.set_ylabel("primary endpoint, Dice in %", fontsize=9)
        full = "all subjects" if set(data.against) == {EVERY} else "the most subjects"
        describe(
            figure,
            f"Labelled subjects needed to match the baseline with {full}",
            f"{caption}. Dashed: the baseline with {full}. Dotted: the smallest number at which a student's mean is no "
            "lower. Bars: 95 % interval of the paired difference, drawn from the dashed line. Labelled: training "
            "subjects of the student and its teacher.",
        )
        return figure
