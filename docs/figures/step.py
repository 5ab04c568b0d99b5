"""The timeline of one training step of a student."""

from __future__ import annotations

from pathlib import Path

from style import BASELINE, GREY, INK, REFERENCE, STUDENT, TEACHER, arrow, box, canvas, save

LANES = (("batch", 3.05, INK), ("teacher", 2.25, TEACHER), ("student", 1.45, STUDENT), ("loss", 0.65, REFERENCE))
EVENTS = (
    (1.00, "ITERATION_STARTED"),
    (3.75, "FORWARD_COMPLETED"),
    (6.45, "LOSS_COMPLETED"),
    (9.05, "ITERATION_COMPLETED"),
)
BARS = (
    (0, 1.00, 1.30, "one patch,\nall sequences"),
    (1, 1.05, 1.35, "frozen, no gradient:\nlogits, features"),
    (2, 2.45, 1.30, "forward,\nown sequence"),
    (3, 3.80, 0.95, "critics\nlearn"),
    (3, 4.80, 1.65, "L(reference) +\nweighted terms"),
    (2, 6.55, 1.20, "backward"),
    (2, 7.80, 1.20, "optimiser\nstep"),
)


def draw() -> Path:
    """Lanes for batch, teacher, student and loss, events as vertical lines."""
    figure, axes = canvas(10.2, 4.2)
    for name, y, colour in LANES:
        axes.plot([0.95, 9.9], [y, y], color=BASELINE, linewidth=0.6, alpha=0.35, zorder=0)
        axes.text(0.12, y, name, va="center", weight="bold", color=colour)
    for x, name in EVENTS:
        axes.plot([x, x], [0.2, 3.65], color=GREY, linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
        axes.text(x, 3.85, name, ha="center" if x > 2 else "left", fontsize=8.5, color=GREY)
    for lane, x, width, text in BARS:
        _, y, colour = LANES[lane]
        box(axes, x, y - 0.3, width, 0.6, text, colour, fontsize=8.8)
    arrow(axes, (1.6, 2.75), (1.6, 2.55), INK)
    arrow(axes, (2.3, 3.05), (3.1, 1.75), STUDENT, connectionstyle="angle3,angleA=0,angleB=90")
    arrow(axes, (2.4, 2.25), (5.6, 0.95), TEACHER, connectionstyle="angle3,angleA=0,angleB=90")
    axes.text(3.9, 2.36, "the slot: filled here, emptied by the loss", fontsize=8.8, color=TEACHER)
    arrow(axes, (3.75, 1.45), (5.0, 0.95), STUDENT, connectionstyle="angle3,angleA=0,angleB=90")
    arrow(axes, (6.45, 0.65), (7.15, 1.15), REFERENCE, connectionstyle="angle3,angleA=0,angleB=90")
    axes.text(6.6, 0.33, "teacher tensors are dropped", fontsize=8.8, color=GREY)
    arrow(axes, (0.95, 0.12), (9.95, 0.12), GREY)
    axes.text(9.95, 0.22, "time", ha="right", fontsize=8.8, color=GREY)
    return save(figure, "step.svg")


if __name__ == "__main__":
    draw()
