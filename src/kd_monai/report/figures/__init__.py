"""The figures of a report: a class each, with what it shows (`data`) and how (`draw`).

They draw data frames and never read a run. `draw_figures` writes all that a report has data for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from kd_monai.report.arms import arms_of, names_over_numbers
from kd_monai.report.comparable import ComparableRuns, digest
from kd_monai.report.figures.canvas import save
from kd_monai.report.figures.curves import Curves
from kd_monai.report.figures.dice import DicePlot
from kd_monai.report.figures.efficiency import LabelEfficiency
from kd_monai.report.figures.forest import ForestPlot
from kd_monai.report.figures.gain import Gain
from kd_monai.report.findings import heading, short_facts
from kd_monai.report.label_efficiency import family_of
from kd_monai.runs.read import run_curve

__all__ = ["draw_figures"]

Drawable = ForestPlot | DicePlot | Curves | Gain | LabelEfficiency


def draw_figures(
    comparables: Sequence[ComparableRuns], rows: Sequence[pd.DataFrame], efficiency: pd.DataFrame, folder: Path
) -> list[Path]:
    """Write what can be drawn, in place of the figures of an earlier report.

    Args:
        comparables: of a report.
        rows: of each, see `report_rows`.
        efficiency: see `label_efficiency`.
        folder: where the files go.

    Returns:
        The files: ``forest``, ``dice`` and ``curves`` of comparable runs, ``gain`` and ``label_efficiency`` of a
        family. Names of several of a kind end in what tells them apart.
    """
    for old in folder.glob("*.png"):
        old.unlink()
    files = []
    frames: dict[Drawable, pd.DataFrame]
    for comparable, comparison in zip(comparables, rows, strict=True):
        n = f"-n{comparable.facts['n_subjects']}" if comparable.facts["n_subjects"] is not None else ""
        suffix = f"-{comparable.facts['recipe']}{n}-{digest(comparable.facts)[:6]}" if len(comparables) > 1 else ""
        caption = f"{heading(comparable)}; {short_facts([comparable])}"
        frames = {ForestPlot(): comparison, DicePlot(): cases_of(comparable), Curves(): curves_of(comparable)}
        files += _draw(frames, caption, folder, suffix)
    families = [family_of(comparable) for comparable in comparables]
    tried = list(dict.fromkeys(efficiency.family))
    for family in tried:
        members = [i for i, name in enumerate(families) if name == family]
        of_family = [comparables[i] for i in members]
        caption = f"Recipe {of_family[0].facts['recipe']}; {short_facts(of_family)}"
        names = names_over_numbers(of_family)
        renamed = pd.concat([_renamed(rows[i], comparables[i], names) for i in members], ignore_index=True)
        frames = {Gain(): renamed, LabelEfficiency(): efficiency[efficiency.family == family]}
        files += _draw(frames, caption, folder, f"-{family[:4]}" if len(tried) > 1 else "")
    return files


def cases_of(comparable: ComparableRuns) -> pd.DataFrame:
    """A row per arm, modality, region and test subject: its Dice."""
    parts = [
        pd.DataFrame({"dice": arm.pooled.values("dice", region).to_numpy()}).assign(
            arm=arm.name, role=arm.role, modality=arm.modality, region=region
        )
        for arm in arms_of(comparable)
        for region in DicePlot.REGIONS
    ]
    return pd.concat(parts, ignore_index=True)


def curves_of(comparable: ComparableRuns) -> pd.DataFrame:
    """A row per arm, modality, run and epoch: mean Dice on the validation part."""
    parts = []
    for arm in arms_of(comparable):
        for i, run in enumerate(arm.pooled.runs):
            curve = run_curve(run.folder)
            part = pd.DataFrame({"epoch": curve.index, "dice": curve.to_numpy()})
            parts.append(part.assign(arm=arm.name, role=arm.role, modality=arm.modality, run=i))
    return pd.concat(parts, ignore_index=True)


def _draw(
    frames: Mapping[Drawable, pd.DataFrame],
    caption: str,
    folder: Path,
    suffix: str,
) -> list[Path]:
    files = []
    for figure, frame in frames.items():
        data = figure.data(frame)
        if len(data):
            files.append(save(figure.draw(data, caption), folder / f"{figure.NAME}{suffix}.png"))
    return files


def _renamed(
    rows: pd.DataFrame, comparable: ComparableRuns, names: Mapping[tuple[int | None, str, str], list[str]]
) -> pd.DataFrame:
    """Rows under the names that their arms have in the whole family."""
    keys = zip(rows.over.str.split().str[0], rows.arm, strict=True)
    arms = [names.get((comparable.facts["n_subjects"], modality, arm), [arm]) for modality, arm in keys]
    return rows.assign(arm=pd.Series(arms, index=rows.index)).explode("arm", ignore_index=True)
