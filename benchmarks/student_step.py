"""What does distillation add to a training step? KD-Net's student against the baseline, its teacher of equal size.

Both are the shipped trainings (quick recipe, data loading included) on the same subjects, one epoch in turn. The
contract: both begin with the same weights and see the same patches; the student's step has KD-Net's terms.
"""

from __future__ import annotations

import torch

from gpu import Utilisation
from question import Given, answer, contract, in_turn
from row import Reach, Row, Side, costlier
from trainings import Training, teacher


def measure(given: Given) -> list[Row]:
    """Seconds a step of both."""
    rounds, steps = given.pick(5, 2), given.pick(16, 3)
    run = teacher(given)
    sides = [Training(given, method, steps, teacher=str(run)) for method in ("kdnet", "baseline")]
    seen: list[list[torch.Tensor]] = []
    for side in sides:
        patches: list[torch.Tensor] = []
        seen.append(patches)
        prepare = side.trainer.prepare_batch

        def watched(batch, device, non_blocking, patches=patches, prepare=prepare, **kwargs):
            image, label = prepare(batch, device, non_blocking, **kwargs)
            if len(patches) < 4:
                patches.append(image.detach().cpu().clone())
            return image, label

        side.trainer.prepare_batch = watched
    student, baseline = sides
    first = [torch.cat([p.detach().flatten() for p in s.trainer.network.parameters()]) for s in sides]
    contract(torch.equal(*first), "both start from the same weights", "others")
    student.epoch(), baseline.epoch()  # warm: oneDNN's primitives, the allocator
    contract(all(map(torch.equal, *seen)), "both see the same patches", "others")
    terms = sorted(student.trainer.loss_function.named)
    contract(terms == ["latent_kl", "segmentation", "soft_dice_bce"], "the student's step has KD-Net's terms", terms)
    ours, theirs = in_turn(student.epoch, baseline.epoch, rounds)
    rows = [
        costlier(
            "Student step with KD-Net, equal-size teacher, against the baseline step",
            Side.of("student", "s/step", ours),
            Side.of("baseline", "s/step", theirs),
            (ours, theirs),
            reach=Reach("at most", 1.20),
            contract="same first weights, same patches (first 4 equal bit for bit), KD-Net's terms present",
            size=given.size,
        )
    ]
    if given.device.type == "cuda":
        rows += on_gpu(student, baseline, given)
    student.close(), baseline.close()
    return rows


def on_gpu(student: Training, baseline: Training, given: Given) -> list[Row]:
    """Patches a second, and how busy the GPU is during the student's training."""
    rates = in_turn(lambda: 1 / student.epoch(), lambda: 1 / baseline.epoch(), given.pick(5, 2))
    busy = []
    for _ in range(given.pick(3, 1)):
        with Utilisation() as utilisation:
            student.epoch()
        busy.append(utilisation.median)
    goal = [90.0] * len(busy)
    sides = Side.of("student", "patches/s", rates[0]), Side.of("baseline", "patches/s", rates[1])
    same = {"contract": "the trainings of the row above", "size": given.size}
    return [
        costlier("Patches a second on the GPU", *sides, rates, **same),
        costlier(
            "GPU utilisation during student training",
            Side.of("student", "%", busy),
            Side.of("goal", "%", goal),
            (busy, goal),
            reach=Reach("at least", 1.0),
            **same,
        ),
    ]


if __name__ == "__main__":
    answer(measure)
