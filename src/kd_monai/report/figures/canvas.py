"""Paper and colours of every figure."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kd_monai.atomic import write_bytes
from kd_monai.report.rows import ALL

# Okabe and Ito's, which the colour-blind can tell apart
BLUE, ORANGE, GREEN, GREY, BLACK = "#0072B2", "#D55E00", "#009E73", "#808080", "#000000"
_LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_MARKERS = "osD^vP"
TITLES = {ALL: "all modalities", "t1": "T1", "t1ce": "T1ce", "t2": "T2", "flair": "FLAIR"}


def panels(rows: int, columns: int, width: float, height: float, share: str = "") -> tuple[Figure, list[list[Axes]]]:
    """A figure of `rows` x `columns` panels of this many inches each."""
    figure = Figure(figsize=(max(columns * width, 6.4), rows * height + 1.1), layout="constrained", dpi=150)
    axes = figure.subplots(rows, columns, squeeze=False, sharex="x" in share, sharey="y" in share)
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="x" if "y" in share else "both", color="0.9", linewidth=0.8)
        axis.set_axisbelow(True)
    return figure, [list(row) for row in axes]


def title(figure: Figure, text: str, caption: str) -> None:
    """What is shown above, and what it was measured on below."""
    characters = int(figure.get_figwidth() * 13)
    figure.suptitle(textwrap.fill(text, int(characters * 0.75)), fontsize=12)
    figure.supxlabel(textwrap.fill(caption, characters), fontsize=8, color="0.3")


def legend(figure: Figure) -> None:
    """The labelled lines of all panels, each name once, beside the last panel."""
    lines = {name: line for axis in figure.axes for line, name in zip(*axis.get_legend_handles_labels(), strict=True)}
    names = [shortened(name) for name in lines]
    figure.legend(lines.values(), names, loc="outside right center", fontsize=8, frameon=False)


def line_styles(names: Sequence[str]) -> dict[str, tuple[str, str, str]]:
    """Colour, marker and dashes of each name; they repeat together after 36 names."""
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
