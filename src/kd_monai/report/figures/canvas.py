"""Paper, panels and colours of every figure."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kd_monai.atomic import write_bytes
from kd_monai.report.rows import ALL

# Okabe and Ito's colours, which the colour-blind can tell apart
BLUE, ORANGE, GREEN, GREY, BLACK = "#0072B2", "#D55E00", "#009E73", "#808080", "#000000"
_LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_MARKERS = "osD^vP"
_WIDTH = 8.0  # inches; a page shows them nearly in full size
TITLES = {ALL: "all modalities", "t1": "T1", "t1ce": "T1ce", "t2": "T2", "flair": "FLAIR"}


def panels(
    n: int, height: float, share: str = "", columns: int = 3, ratios: Sequence[float] | None = None
) -> tuple[Figure, list[Axes]]:
    """A figure of page width with `n` panels, at most `columns` in a row.

    Args:
        n: number of panels.
        height: of a row, inches.
        share: ``x``, ``y`` or ``xy``: axes that all panels share.
        columns: of panels.
        ratios: height of each row, in units of `height`.
    """
    columns = min(n, columns)
    rows = math.ceil(n / columns)
    ratios = ratios or [1.0] * rows
    figure = Figure(figsize=(_WIDTH, sum(ratios) * height + 1.3), layout="constrained", dpi=150)
    grid = figure.subplots(
        rows, columns, squeeze=False, sharex="x" in share, sharey="y" in share, height_ratios=list(ratios)
    )
    axes = list(grid.flat)
    for axis in axes[n:]:
        axis.set_axis_off()
    for axis in axes[:n]:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="x" if "y" in share else "both", color="0.9", linewidth=0.8)
        axis.set_axisbelow(True)
        axis.tick_params(labelsize=9, labelbottom=True)
    return figure, axes[:n]


def describe(figure: Figure, title: str, caption: str) -> None:
    """The title above; below, the caption and the labelled lines of all panels, each name once."""
    figure.suptitle(textwrap.fill(title, 75), fontsize=12)
    caption = textwrap.fill(caption, 115)
    lines = {name: line for axis in figure.axes for line, name in zip(*axis.get_legend_handles_labels(), strict=True)}
    if not lines:
        figure.supxlabel(caption, fontsize=8, color="0.3")
        return
    names = [shortened(name) for name in lines]
    columns = max(1, min(len(names), 110 // (max(map(len, names)) + 8)))
    # a legend of its own place would overlap the caption
    legend = figure.legend(
        lines.values(), names, loc="outside lower center", ncols=columns, fontsize=8, frameon=False, title=caption
    )
    legend.get_title().set(fontsize=8, color="0.3")
    legend.set_alignment("center")


def line_styles(names: Sequence[str]) -> dict[str, tuple[str, str, str]]:
    """Colour, marker and dashes of each name; together they repeat after 36 names."""
    dashes = [("-", "--", ":", "-.")[i // len(_LINES) % 4] for i in range(len(names))]
    shapes = [_MARKERS[(i + i // len(_LINES)) % len(_MARKERS)] for i in range(len(names))]
    return dict(zip(names, zip(cycle(_LINES), shapes, dashes, strict=False), strict=False))


def shortened(name: str, longest: int = 30) -> str:
    """A name that leaves room for the figure."""
    return name if len(name) <= longest else name[: longest - 1] + "…"


def save(figure: Figure, path: Path) -> Path:
    """Write a PNG, complete or not at all."""
    content = io.BytesIO()
    figure.savefig(content, format="png")
    write_bytes(path, content.getvalue())
    return path
