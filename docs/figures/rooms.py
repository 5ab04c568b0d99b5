"""The rooms of the house: who may import whom."""

from __future__ import annotations

from pathlib import Path

from style import GREY, INK, REFERENCE, STUDENT, TEACHER, arrow, box, canvas, save

FLOORS = [
    (INK, [("__main__, pipelines", "verbs, a few lines each")]),
    (TEACHER, [("report", "which runs are comparable, paired comparison, tables, figures")]),
    (TEACHER, [("grid", "the jobs of a study, run by Snakemake")]),
    (TEACHER, [("training", "preflight, workflow, score")]),
    (TEACHER, [("export", "a run as a bundle, prediction")]),
    (TEACHER, [("teachers", "one, several, cross-fitted; pseudo-labels")]),
    (TEACHER, [("runs", "identity, lock, state, reading back")]),
    (TEACHER, [("config", "the table of variables, plans")]),
    (STUDENT, [("handlers", "what happens at an engine's event"), ("tracking", "the journal, MLflow")]),
    (
        STUDENT,
        [
            ("losses", "terms"),
            ("networks", "heads, taps"),
            ("data", "entries to samples"),
            ("metrics", "scores, tests"),
            ("phantom", "synthetic"),
        ],
    ),
    (REFERENCE, [("task, outputs, errors", "the words that all rooms share")]),
]
WIDTH, HEIGHT, GAP = 8.6, 0.44, 0.08


def draw() -> Path:
    """One floor for each level of imports, top imports bottom."""
    total = len(FLOORS) * (HEIGHT + GAP)
    figure, axes = canvas(9.6, total + 0.3)
    for number, (colour, rooms) in enumerate(FLOORS):
        y = total - (number + 1) * (HEIGHT + GAP) + 0.2
        width = (WIDTH - GAP * (len(rooms) - 1)) / len(rooms)
        for place, (name, text) in enumerate(rooms):
            x = 0.1 + place * (width + GAP)
            box(axes, x, y, width, HEIGHT, "", colour)
            if len(rooms) > 2:
                axes.text(x + width / 2, y + 0.30, name, ha="center", va="center", weight="bold")
                axes.text(x + width / 2, y + 0.14, text, ha="center", va="center", fontsize=8.5)
            else:
                axes.text(x + 0.2, y + HEIGHT / 2, name, va="center", weight="bold")
                axes.text(x + 2.0 if len(rooms) == 1 else x + 1.15, y + HEIGHT / 2, text, va="center", fontsize=9)
    arrow(axes, (9.05, total), (9.05, 0.3), GREY, linewidth=1.6, mutation_scale=14)
    axes.text(9.3, total / 2 + 0.15, "imports, never the other way", rotation=270, ha="center", va="center", color=GREY)
    return save(figure, "rooms.svg")


if __name__ == "__main__":
    draw()
