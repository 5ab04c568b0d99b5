"""The figures of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from kd_monai.report.arms import names_over_numbers
from kd_monai.report.comparable import Group
from kd_monai.report.facts import report_heading, short_facts
from kd_monai.report.figures.canvas import save
from kd_monai.report.figures.curves import curves_figure
from kd_monai.report.figures.dice import dice_figure
from kd_monai.report.figures.efficiency import efficiency_figure
from kd_monai.report.figures.forest import forest_figure
from kd_monai.report.figures.gain import gain_figure
from kd_monai.report.label_efficiency import family_of
from kd_monai.report.setting import digest

__all__ = ["draw_figures"]


def draw_figures(
    groups: Sequence[Group], by_group: Sequence[pd.DataFrame], efficiency: pd.DataFrame, folder: Path
) -> list[Path]:
    """Write what can be drawn of these groups, in place of an earlier report's figures.

    Args:
        groups: of a report.
        by_group: the rows of each, as `report_rows` gives them.
        efficiency: as `label_efficiency` gives it.
        folder: where the files go.

    Returns:
        The files: of each group ``forest``, ``dice`` and ``curves``; of groups that differ in the number of training
        subjects ``gain`` and ``label_efficiency``. Names of several of a kind end in what tells them apart.
    """
    for old in folder.glob("*.png"):
        old.unlink()
    drawn = []
    for group, rows in zip(groups, by_group, strict=True):
        n = f"-n{group.facts['n_subjects']}" if group.facts["n_subjects"] is not None else ""
        suffix = f"-{group.facts['recipe']}{n}-{digest(group.facts)[:6]}" if len(groups) > 1 else ""
        caption = f"{report_heading(group)}; {short_facts([group])}"
        for name, figure in (
            ("forest", forest_figure(rows, caption)),
            ("dice", dice_figure(group, caption)),
            ("curves", curves_figure(group, caption)),
        ):
            drawn += [save(figure, folder / f"{name}{suffix}.png")] if figure else []
    families = [family_of(group) for group in groups]
    tried = list(dict.fromkeys(efficiency.family))
    for family in tried:
        members = [i for i, name in enumerate(families) if name == family]
        caption = f"Recipe {groups[members[0]].facts['recipe']}; {short_facts([groups[i] for i in members])}"
        suffix = f"-{family[:4]}" if len(tried) > 1 else ""
        names = names_over_numbers([groups[i] for i in members])
        rows = pd.concat([_renamed(by_group[i], groups[i], names) for i in members], ignore_index=True)
        own = efficiency[efficiency.family == family]
        for name, figure in (
            ("gain", gain_figure(rows, caption)),
            ("label_efficiency", efficiency_figure(own, caption)),
        ):
            drawn += [save(figure, folder / f"{name}{suffix}.png")] if figure else []
    return drawn


def _renamed(rows: pd.DataFrame, group: Group, names: Mapping[tuple[int | None, str, str], list[str]]) -> pd.DataFrame:
    """A group's rows under the names that its arms have in the whole family."""
    places = zip(rows.over.str.split().str[0], rows.arm, strict=True)
    arms = [names.get((group.facts["n_subjects"], modality, arm), [arm]) for modality, arm in places]
    return rows.assign(arm=pd.Series(arms, index=rows.index)).explode("arm", ignore_index=True)
