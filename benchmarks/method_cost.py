"""What does a step of each method cost against the baseline's, its teacher of equal size?

The shipped trainings (quick recipe, data loading included) on the same subjects: each method takes turns with the
baseline of its head. Asked by name alone (`make bench ONLY=method_cost`), for it takes minutes. The contract: both
begin with the same weights of the student's network and see the same patches; the step has the method's terms, all
finite.
"""

from __future__ import annotations

from pydoc import locate

import torch

from kd_monai.config.overlays import STUDENT, overlay, train_files
from kd_monai.config.plan import Plan
from question import Given, answer, contract, in_turn
from row import Row, Side, costlier
from student_step import watched
from trainings import Training, teacher

# a finetune's step is the baseline's, from other weights
LEFT_OUT = ("baseline", "finetune")
METHODS = sorted(file.stem for file in (STUDENT / "configs" / "methods").glob("*.yaml") if file.stem not in LEFT_OUT)


def head_of(method: str) -> str:
    """The head that a method's terms read; that of train.yaml where they read either."""
    config = Plan.read("student", STUDENT, [*train_files(STUDENT), overlay(STUDENT, "method", method)], {}).config
    terms = (config["terms"] or {}).values()
    classes = [locate(term["term"]["_target_"]) for term in terms]
    return next((cls.needs_head for cls in classes if hasattr(cls, "needs_head")), config["head"])


def weights(training: Training) -> torch.Tensor:
    """Of the network, in one row."""
    return torch.cat([part.detach().flatten() for part in training.trainer.network.parameters()])


def measure(given: Given) -> list[Row]:
    """Seconds a step of every method and of the baseline."""
    rounds, steps = given.pick(3, 1), given.pick(6, 2)
    baselines: dict[str, Training] = {}
    teachers: dict[str, str] = {}
    seen: dict[str, list[torch.Tensor]] = {}
    first: dict[str, torch.Tensor] = {}
    rows = []
    for method in METHODS[: given.pick(len(METHODS), 1)]:
        head = head_of(method)
        if head not in baselines:
            baselines[head], teachers[head] = (
                Training(given, "baseline", steps, head=head),
                str(teacher(given, head=head)),
            )
            first[head], seen[head] = weights(baselines[head]), watched(baselines[head])
            baselines[head].epoch()  # warm
        student = Training(given, method, steps, head=head, teacher=teachers[head])
        own, patches = weights(student), watched(student)
        student.epoch()
        contract(torch.equal(own, first[head]), "both start from the same weights", method)
        contract(all(map(torch.equal, patches, seen[head])), "both see the same patches", method)
        named = student.trainer.loss_function.named
        expected = {"segmentation", *student.config["terms"]}
        contract(named.keys() == expected, f"the step has the terms {sorted(expected)}", sorted(named))
        contract(all(value.isfinite() for value in named.values()), "they are finite", named)
        figures = in_turn(student.epoch, baselines[head].epoch, rounds=rounds)
        rows.append(
            costlier(
                f"Step of a {method} student against the baseline's",
                Side.of(method, "s/step", figures[0]),
                Side.of("baseline", "s/step", figures[1]),
                figures,
                contract="same first weights and patches (the first bit for bit), the method's terms, all finite",
                floor=f"head {head}, teacher in {student.runtime}",
                size=given.size,
            )
        )
        student.close()
    for baseline in baselines.values():
        baseline.close()
    return rows


if __name__ == "__main__":
    answer(measure)
