"""Forest plot and label-efficiency curve, from the report of the packed runs."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from command import ROOT, kd_monai
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from style import BASELINE, GREY, STUDENT, TEACHER, save

PACKS = ROOT / "benchmarks" / "studies"
TITLES = {"all": "four sequences", "t1": "T1", "t1ce": "T1ce", "t2": "T2", "flair": "FLAIR"}


def report_rows(study: str, work: Path) -> pd.DataFrame:
    """The primary endpoint of every arm of a packed study, in Dice points; unpacked and reported once."""
    out = work / study
    table = out / "report" / "report.csv"
    if not table.is_file():
        (pack,) = PACKS.glob(f"brats2018_2mm_{study}.*")
        kd_monai("unpack", PACK=pack, OUT=out)
        kd_monai("report", OUT=out)
    rows = pd.read_csv(table)
    rows = rows[(rows.metric == "dice") & (rows.region == "endpoint")]
    return rows.assign(**{name: 100 * rows[name] for name in ("mean", "diff", "ci_low", "ci_high")})


def draw_forest(work: Path) -> Path:
    """Every method's difference to its baseline over the four sequences: fresh seeds above, one seed of all below."""
    fresh, one_seed = report_rows("fresh", work), report_rows("h200", work)
    above = [
        (f"{row.arm}, {'half of the references' if row.n_subjects == 6 else 'all references'}", row)
        for row in students(fresh)
    ]
    below = [(row.method, row) for row in students(one_seed)]
    figure = Figure(figsize=(8.6, 7.4))
    heights = [len(above) + 0.6, len(below) + 0.6]
    axes = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": heights, "hspace": 0.16})
    _forest(axes[0], above, "Three fresh seeds, CPU")
    _forest(axes[1], below, "All methods, one seed, GPU, all references")
    axes[1].set_xlabel("student minus baseline, Dice points, four sequences together, 95 % interval over 22 subjects")
    figure.subplots_adjust(left=0.29, right=0.98, top=0.955, bottom=0.075)
    return save(figure, "forest.svg")


def students(rows: pd.DataFrame) -> list:
    """Arms that have all four sequences, the best first."""
    chosen = rows[(rows.role == "student") & (rows.modality == "all") & rows["diff"].notna()]
    chosen = chosen[~chosen.arm.str.contains("crossfit")]
    return list(chosen.sort_values("diff", ascending=False).itertuples())


def _forest(axes: Axes, lines: list, title: str) -> None:
    axes.axvline(0, color=BASELINE, linewidth=1)
    for place, (_, row) in enumerate(lines):
        clear = row.ci_low > 0 or row.ci_high < 0
        colour = GREY if not clear else STUDENT if row.diff > 0 else TEACHER
        axes.plot([row.ci_low, row.ci_high], [place, place], color=colour, linewidth=2)
        axes.plot(row.diff, place, "o", color=colour, markerfacecolor=colour if clear else "white", markersize=6)
    axes.set_yticks(range(len(lines)), [name for name, _ in lines])
    axes.set_ylim(len(lines) - 0.5, -0.6)
    axes.set_title(title, loc="left", fontsize=10, weight="bold")
    axes.grid(axis="x", color=GREY, alpha=0.25)


def draw_label_efficiency(work: Path) -> Path:
    """The primary endpoint by the number of labelled subjects: baselines, and soft labels with half withheld."""
    rows = report_rows("fresh", work)
    figure = Figure(figsize=(9.6, 3.0), layout="constrained")
    panels = figure.subplots(1, len(TITLES))
    for axes, (modality, title) in zip(panels, TITLES.items(), strict=True):
        of = rows[rows.modality == modality]
        baselines = of[of.role == "baseline"].sort_values("n_train")
        (soft,) = of[of.arm == "softlabels"].itertuples()
        every = baselines["mean"].iloc[-1]
        axes.axhline(every, color=GREY, linewidth=1, linestyle=(0, (4, 3)))
        axes.plot(baselines.n_train, baselines["mean"], "s-", color=BASELINE, label="baseline")
        beside = soft.n_train + 0.25
        low, high = soft.mean - soft.diff + soft.ci_low, soft.mean - soft.diff + soft.ci_high
        axes.plot([beside, beside], [low, high], color=STUDENT, linewidth=2)
        axes.plot(beside, soft.mean, "o", color=STUDENT, markersize=7, label="soft labels, the rest unlabelled")
        axes.set_title(title, fontsize=10)
        axes.set_xticks(sorted(baselines.n_train.round()))
        axes.set_xlim(5, 13)
        axes.grid(axis="y", color=GREY, alpha=0.25)
    panels[0].set_ylabel("primary endpoint, Dice in %")
    figure.supxlabel("labelled training subjects; bars: 95 % interval of the difference to the baseline", fontsize=9)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False)
    return save(figure, "label_efficiency.svg")
