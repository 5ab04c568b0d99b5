"""The road: what one command does, from variables to a table."""

from __future__ import annotations

from pathlib import Path

from style import GREY, STUDENT, TEACHER, arrow, box, canvas, save

SEQUENCES = ("T1", "T1ce", "T2", "FLAIR")


def draw() -> Path:
    """Six steps in a row; the training shows who reads what."""
    figure, axes = canvas(11.0, 3.5)
    top, middle = 2.95, 1.75
    steps = [
        (0.10, 1.35, "variables", "make student\nDATA=my_scans\nMODALITY=t1ce", "checked names"),
        (1.70, 1.35, "plan", "YAML is read\nonce, for\nteacher, student", "two frozen plans"),
        (3.30, 1.35, "preflight", "data, split,\nnetworks, terms\nare checked", "a clear refusal,\nor nothing"),
        (8.05, 1.30, "score", "native grid,\none row per\nsubject", "cases.csv,\nMONAI bundle"),
        (9.60, 1.30, "report", "paired with\nbaseline and\nteacher", "one table,\nMLflow runs"),
    ]
    for x, width, title, text, result in steps:
        box(axes, x, middle - 0.6, width, 1.2, text, fontsize=8.8)
        axes.text(x + width / 2, top, title, ha="center", va="center", weight="bold", fontsize=11)
        axes.text(x + width / 2, 0.55, result, ha="center", va="center", color=GREY, fontsize=8.8, linespacing=1.3)
        arrow(axes, (x + width / 2, middle - 0.65), (x + width / 2, 0.85), GREY, linewidth=1, mutation_scale=8)
    for left, right in ((1.45, 1.70), (3.05, 3.30), (4.65, 4.88), (7.85, 8.05), (9.35, 9.60)):
        arrow(axes, (left, middle), (right, middle))
    axes.text(6.37, top, "training", ha="center", va="center", weight="bold", fontsize=11)
    box(axes, 4.90, 0.80, 2.95, 1.92)
    for number, name in enumerate(SEQUENCES):
        _tile(axes, 4.99 + 0.50 * (number % 2), 2.32 - 0.30 * (number // 2), name, TEACHER)
    _tile(axes, 5.24, 1.07, "T1ce", STUDENT)
    box(axes, 6.25, 1.95, 1.40, 0.62, "teacher\nlearns, freezes", TEACHER, fontsize=8.8)
    box(axes, 6.25, 0.90, 1.40, 0.62, "student", STUDENT, fontsize=8.8)
    arrow(axes, (6.00, 2.31), (6.25, 2.31), TEACHER)
    arrow(axes, (5.70, 1.21), (6.25, 1.21), STUDENT)
    arrow(axes, (6.95, 1.95), (6.95, 1.52), TEACHER)
    axes.text(6.85, 1.735, "soft labels, features", ha="right", va="center", fontsize=8.2, color=TEACHER)
    axes.text(6.37, 0.55, "two run folders", ha="center", va="center", color=GREY, fontsize=8.8)
    return save(figure, "road.svg")


def _tile(axes, x: float, y: float, name: str, colour: str) -> None:
    box(axes, x, y, 0.48, 0.28, name, colour, fontsize=7.6)


if __name__ == "__main__":
    draw()
