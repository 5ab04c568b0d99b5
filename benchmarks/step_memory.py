"""How much more memory does a student's step need than the baseline's?

Peak resident memory (GPU: peak allocated) of a process that trains a few steps of the shipped configuration, at the
quick recipe's patch and at the paper's 128^3: what decides whether a machine is large enough. The student has a row for
each runtime that its teacher can have here; that of the one that `teacher_runtime: auto` takes has the reach. Two
processes run at a time: memory, unlike time, does not mind company. The contract: all processes took the same number of
steps, the student's with KD-Net's terms and the teacher of its row.
"""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from kd_monai.tracking.peak_memory import PeakMemory
from question import Given, answer, contract
from row import Reach, Row, Side, costlier
from trainings import Training, runtimes, taken_by_auto, taught_by, teacher

STEPS, AT_ONCE = 3, 2
TERMS = {"kdnet": ["latent_kl", "segmentation", "soft_dice_bce"], "baseline": ["segmentation"]}


def peak(given: Given, method: str, roi: int, run: str, runtime: str) -> float:
    """MiB at the most, of a process of its own.

    Raises:
        ContractError: it had other terms, steps or another runtime.
    """
    line = [sys.executable, __file__, "--train", method, str(roi), run, runtime, given.size, str(given.small_data)]
    done = subprocess.run([*line, str(given.device), str(given.work)], check=True, capture_output=True, text=True)
    figure, *got = json.loads(done.stdout.splitlines()[-1])
    expected = [TERMS[method], STEPS, runtime if method == "kdnet" else None]
    contract(got == expected, f"{method} takes its own terms, {STEPS} steps and its runtime: {expected}", got)
    return figure


def train(method: str, roi: str, run: str, runtime: str, size: str, small_data: str, device: str, work: str) -> None:
    """What that process does; its peak is that since its own start (`PeakMemory`), whatever its parent held."""
    given = Given(size, Path(), Path(small_data), torch.device(device), Path(), Path(work))  # type: ignore[arg-type]
    taught = {"teacher": run, "teacher_runtime": runtime} if method == "kdnet" else {}
    training = Training(given, method, STEPS, roi_size=[int(roi)] * 3, n_subjects=4, **taught)
    training.epoch()
    figure = PeakMemory(given.device).mib
    terms, steps = sorted(training.trainer.loss_function.named), training.trainer.state.iteration
    print(json.dumps([figure, terms, steps, training.runtime if taught else None]))


def measure(given: Given) -> list[Row]:
    """Peak MiB of the student, for each runtime of its teacher (tiny: one of them), and of the baseline."""
    run = str(teacher(given))
    rows = []
    # it goes by the number of steps, not by the patch
    auto = taken_by_auto(given, STEPS, teacher=run, roi_size=[32 if given.tiny else 64] * 3, n_subjects=4)
    for roi, rounds in [(32, 1)] if given.tiny else [(64, 2), (128, 1)]:
        names = runtimes(given)[given.pick(full=0, tiny=-1) :]
        sides = [("kdnet", name) for name in names] + [("baseline", "torch")]
        with ThreadPoolExecutor(AT_ONCE) as processes:
            told = processes.map(lambda side, roi=roi: peak(given, side[0], roi, run, side[1]), sides * rounds)
            by_round = list(told)
        *ours, theirs = (by_round[number :: len(sides)] for number in range(len(sides)))
        rows += [
            costlier(
                f"Peak memory of the student's step, {taught_by(name, auto)}, against the baseline's, patch {roi}^3",
                Side.of("student", "MiB", figures),
                Side.of("baseline", "MiB", theirs),
                (figures, theirs),
                reach=Reach("at most", 1.10) if name == auto else None,
                contract="same recipe and steps, a process each; the student's with KD-Net's terms and its teacher "
                f"in {name}",
                size=given.size,
            )
            for name, figures in zip(names, ours, strict=True)
        ]
    return rows


if __name__ == "__main__":
    if sys.argv[1:2] == ["--train"]:
        train(*sys.argv[2:])
    else:
        answer(measure)
