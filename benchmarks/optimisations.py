"""What does each optimisation of this project save of a training step? The step with it against the step without it.

An optimisation stays while a row of it shows 5 % of a user's waiting time (ratio 1.05) on some machine; docs/notes/
benchmarks-log.md has those that went. All sides are the shipped trainings (quick recipe, data loading included) on the
same subjects, one epoch in turn. What does not pay here (OpenVINO without the extra, layouts on a GPU) has no row. The
contract: both sides begin with the same weights, and their first losses differ by rounding alone.
"""

from __future__ import annotations

import time
from typing import Any

import torch
from ignite.engine import Events

from kd_monai.networks.inferers import resolved_precision
from question import Given, answer, contract, in_turn
from row import Reach, Row, Side, faster
from trainings import Training, runtimes, teacher

WORTH = Reach("at least", 1.05)
STEPS = (300, 600)
"""Lengths of a training for which the start of a runtime is set against what it saves."""


def unsplit(training: Training) -> None:
    """Leave float32 convolutions of one small sample to torch again."""
    removed = 0
    for module in training.config.get_parsed_content("network_def").modules():
        for hooks in (module._forward_pre_hooks, module._forward_hooks):
            for key in [key for key, hook in hooks.items() if type(hook.__self__).__name__ == "_AsTwoSamples"]:
                del hooks[key]
                removed += 1
    contract(removed > 0, "the other side had split convolutions to lose", removed)


def first_losses(training: Training) -> list[float]:
    """Losses of the steps to come, filled as they are taken."""
    losses: list[float] = []
    training.trainer.add_event_handler(
        Events.ITERATION_COMPLETED, lambda engine: losses.append(float(engine.state.output["loss"]))
    )
    return losses


def first_epoch(training: Training) -> float:
    """Seconds of the first epoch, start included; warms oneDNN's primitives and the allocator."""
    began = time.perf_counter()
    training.epoch()
    return time.perf_counter() - began


def compared(given: Given, name: str, ours: Training, plain: Training, steps: int) -> Row:
    """The row of two trainings that differ in one optimisation.

    Args:
        given: the benchmark's.
        name: of the optimisation.
        ours, plain: with it and without it.
        steps: of an epoch.
    """
    weights = [torch.cat([p.detach().flatten() for p in side.trainer.network.parameters()]) for side in (ours, plain)]
    contract(torch.equal(*weights), "both start from the same weights", name)
    losses = [first_losses(side) for side in (ours, plain)]
    firsts = [first_epoch(side) for side in (ours, plain)]
    gap = abs(losses[0][0] - losses[1][0]) / losses[1][0]
    contract(gap <= 0.01, "the first losses differ by a hundredth at most", gap)
    figures = in_turn(ours.epoch, plain.epoch, rounds=given.pick(5, 2))
    sides = Side.of("with", "s/step", figures[0]), Side.of("without", "s/step", figures[1])
    ours.close(), plain.close()
    saved = sides[1].median - sides[0].median
    start = firsts[0] - firsts[1] + steps * saved
    lengths = ", ".join(f"{count} steps save {count * saved - start:.0f} s" for count in STEPS)
    return faster(
        f"Optimisation: {name}",
        *sides,
        figures,
        reach=WORTH,
        contract=f"same first weights; first losses differ by {gap:.2g} of theirs",
        floor=f"{start:.1f} s more at the start; with them {lengths}",
        size=given.size,
    )


def measure(given: Given) -> list[Row]:
    """Seconds a step with each optimisation and without it."""
    steps = given.pick(8, 2)

    def training(method: str = "baseline", **more: Any) -> Training:
        return Training(given, method, steps, **more)

    rows: list[Row] = []
    if given.device.type == "cpu":
        precisions = ["fp32"] if given.tiny else sorted({"fp32", resolved_precision(given.device)})
        for precision in precisions:
            sides = [training(precision=precision, memory_format=layout) for layout in ("channels_last", "contiguous")]
            rows.append(compared(given, f"memory format, {precision}", *sides, steps))
        sides = [training(precision="fp32"), training(precision="fp32")]
        unsplit(sides[1])
        rows.append(compared(given, "split convolutions, fp32", *sides, steps))
    if "openvino" in runtimes(given):
        run = str(teacher(given))
        sides = [training("kdnet", teacher=run, teacher_runtime=runtime) for runtime in ("openvino", "torch")]
        rows.append(compared(given, "teacher in OpenVINO", *sides, steps))
    return rows


if __name__ == "__main__":
    answer(measure)
