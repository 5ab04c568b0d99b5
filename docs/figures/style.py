"""How every drawn picture looks: colours, boxes, arrows, and a file that is the same whenever it is drawn again."""

from __future__ import annotations

from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

IMAGES = Path(__file__).parents[1] / "images"
INK, GREY, PAPER = "#1f2933", "#7b8794", "#f4f6f8"
TEACHER, STUDENT, BASELINE, REFERENCE = "#b45309", "#0b6fa4", "#5b6470", "#15803d"
LIGHT = {TEACHER: "#fdf0dc", STUDENT: "#e2f1f9", BASELINE: "#eceff1", REFERENCE: "#e3f4e8", INK: PAPER}

matplotlib.rcParams.update(
    {
        "font.family": "DejaVu Sans",
        "font.size": 9.5,
        "text.color": INK,
        "axes.edgecolor": GREY,
        "axes.labelcolor": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "svg.hashsalt": "kd_monai",
        "svg.fonttype": "path",
    }
)


def canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """An empty drawing whose units are inches, origin below left."""
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
    axes.axis("off")
    return figure, axes


def box(axes: Axes, x: float, y: float, width: float, height: float, text: str = "", colour: str = INK, **font) -> None:
    """A rounded box with its text in the middle; x, y is the corner below left."""
    axes.add_patch(
        FancyBboxPatch(
            (x + 0.05, y + 0.05),
            width - 0.1,
            height - 0.1,
            boxstyle="round,pad=0.05,rounding_size=0.09",
            facecolor=LIGHT[colour],
            edgecolor=colour,
            linewidth=1.2,
        )
    )
    axes.text(x + width / 2, y + height / 2, text, ha="center", va="center", **{"linespacing": 1.35, **font})


def arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], colour: str = INK, **more) -> None:
    """An arrow from one point to another."""
    options = {"arrowstyle": "-|>", "mutation_scale": 11, "linewidth": 1.3, "shrinkA": 0, "shrinkB": 0, **more}
    axes.add_patch(FancyArrowPatch(start, end, color=colour, **options))


def save(figure: Figure, name: str) -> Path:
    """Write a picture of the documents; SVG carries no date, so that an unchanged picture is an unchanged file."""
    path = IMAGES / name
    metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
    figure.savefig(path, dpi=150, metadata=metadata, facecolor="white")
    return path
