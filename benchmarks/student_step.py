"""What does distillation add to a training step? KD-Net's student against the baseline, its teacher of equal size.

The student has a row for each runtime that its teacher can have here: torch, or OpenVINO. Which of them
`teacher_runtime: auto` should take can be read from the table, and the row of the one that it does take has the reach.
All are the shipped trainings (quick recipe, data loading included) on the same subjects, one epoch in turn. The
contract: all begin with the same weights and see the same patches; the student's step has KD-Net's terms, and its
teacher the runtime of the row.
"""

from __future__ import annotations

import torch

from question import Given, answer, contract, in_turn
from row import Reach, Row, Side, costlier
from trainings import Training, runtimes, taken_by_auto, taught_by, teacher


def watched(training: Training, count: int = 4) -> list[torch.Tensor]:
    """The first patches that a training will see, filled as it runs."""
    patches: list[torch.Tensor] = []
    prepare = training.trainer.prepare_batch

    def watch(batch, device, non_blocking, **kwargs):
        image, label = prepare(batch, device, non_blocking, **kwargs)
        if len(patches) < count:
            patches.append(image.detach().cpu().clone())
        return image, label

    training.trainer.prepare_batch = watch
    return patches


def measure(given: Given) -> list[Row]:
    """Seconds a step of the student, for each runtime of its teacher, and of the baseline."""
    # a step on a GPU is short, and processes that read ahead are forked anew in every epoch
    rounds, steps = given.pick(5, 2), given.pick(16 if given.device.type == "cuda" else 8, 3)
    run = str(teacher(given))
    auto = taken_by_auto(given, steps, teacher=run)
    students = {name: Training(given, "kdnet", steps, teacher=run, teacher_runtime=name) for name in runtimes(given)}
    baseline = Training(given, "baseline", steps)
    sides = [*students.values(), baseline]
    seen = [watched(side) for side in sides]
    first = [torch.cat([p.detach().flatten() for p in side.trainer.network.parameters()]) for side in sides]
    contract(all(torch.equal(first[0], other) for other in first), "all start from the same weights", "others")
    for side in sides:
        side.epoch()  # warm: oneDNN's primitives, OpenVINO's compilation, the allocator
    contract(all(all(map(torch.equal, seen[0], other)) for other in seen[1:]), "all see the same patches", "others")
    for name, student in students.items():
        terms = sorted(student.trainer.loss_function.named)
        contract(terms == ["latent_kl", "segmentation", "soft_dice_bce"], "a student's step has KD-Net's terms", terms)
        contract(student.runtime == name, f"its teacher runs in {name}", student.runtime)
    *ours, theirs = in_turn(*[side.epoch for side in sides], rounds=rounds)
    rows = [
        costlier(
            f"Student step with KD-Net, equal-size {taught_by(name, auto)}, against the baseline step",
            Side.of("student", "s/step", figures),
            Side.of("baseline", "s/step", theirs),
            (figures, theirs),
            reach=Reach("at most", 1.20) if name == auto else None,
            contract="same first weights, same patches (first 4 equal bit for bit), KD-Net's terms present, "
            f"teacher in {name}",
            size=given.size,
        )
        for name, figures in zip(students, ours, strict=True)
    ]
    for side in sides:
        side.close()
    return rows


if __name__ == "__main__":
    answer(measure)
