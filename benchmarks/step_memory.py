"""How much more memory does a student's step need than the baseline's?

Peak resident memory (GPU: peak allocated) of a process that trains a few steps of the shipped configuration, at the
quick recipe's patch and at the paper's 128^3: what decides whether a machine is large enough. The contract: both
processes took the same number of steps, the student's with KD-Net's terms.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import torch

from question import Given, answer, contract, in_turn
from row import Reach, Row, Side, costlier
from trainings import Training, teacher

MIB = 2**20
_KIB = 1 if sys.platform == "darwin" else 1024  # getrusage counts bytes there


def peak(given: Given, method: str, roi: int, run: str) -> tuple[float, list[str], int]:
    """MiB at the most, names of the loss's terms and steps taken, of a process of its own."""
    line = [sys.executable, __file__, "--train", method, str(roi), run, given.size, str(given.small_data)]
    done = subprocess.run([*line, str(given.device), str(given.work)], check=True, capture_output=True, text=True)
    figure, terms, steps = json.loads(done.stdout.splitlines()[-1])
    return figure, terms, steps


def train(method: str, roi: str, run: str, size: str, small_data: str, device: str, work: str) -> None:
    """What that process does."""
    given = Given(size, Path(), Path(small_data), torch.device(device), Path(), Path(work))  # type: ignore[arg-type]
    training = Training(given, method, 3, teacher=run, roi_size=[int(roi)] * 3, n_subjects=4)
    training.epoch()
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIB
    figure = torch.cuda.max_memory_allocated() if device == "cuda" else resident
    print(json.dumps([figure / MIB, sorted(training.trainer.loss_function.named), training.trainer.state.iteration]))


def measure(given: Given) -> list[Row]:
    """Peak MiB of both."""
    run = str(teacher(given))
    rows = []
    for roi, rounds in [(32, 1)] if given.tiny else [(64, 3), (128, 2)]:
        seen = set()

        def figure(method: str, roi: int = roi, seen: set = seen) -> float:
            value, terms, steps = peak(given, method, roi, run)
            seen.add((method, tuple(terms), steps))
            return value

        times = in_turn(lambda: figure("kdnet"), lambda: figure("baseline"), rounds)
        expected = {("kdnet", ("latent_kl", "segmentation", "soft_dice_bce"), 3), ("baseline", ("segmentation",), 3)}
        contract(seen == expected, f"both take their own terms and 3 steps: {expected}", seen)
        rows.append(
            costlier(
                f"Peak memory of the student's step against the baseline's, patch {roi}^3",
                Side.of("student", "MiB", times[0]),
                Side.of("baseline", "MiB", times[1]),
                times,
                reach=Reach("at most", 1.10),
                contract="same recipe and steps, a process each; the student's with KD-Net's terms and its teacher",
                size=given.size,
            )
        )
    return rows


if __name__ == "__main__":
    if sys.argv[1:2] == ["--train"]:
        train(*sys.argv[2:])
    else:
        answer(measure)
