"""Do trainings in bf16 end where those in float32 do? The quick recipe, three seeds in each precision.

Baselines on T1ce, trained on 2 mm subjects and scored on their test fold. Reached is a difference between the means of
the two precisions of at most the spread (largest less smallest) of the float32 seeds, in mean Dice and in the last
validation loss. Asked by name alone (`make bench ONLY=precision_seeds`), for it trains six networks. Where the hardware
has no bf16 instructions each convolution in bf16 takes some 25 times as long: there it is asked at 4 mm, of patches of
32^3, and the rows say so. The contract: the two trainings of a seed have one configuration but for the precision (so
the same first weights and patches), the mean loss of their first epoch differs by at most a tenth, and their weights do
differ.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import yaml

from kd_monai.config.overlays import STUDENT, overlay, train_files
from kd_monai.config.plan import Plan
from kd_monai.metrics import read_cases
from kd_monai.networks.inferers import resolved_precision
from kd_monai.runs.read import run_curve
from kd_monai.training.score import score
from kd_monai.training.workflow import train
from question import Given, answer, contract
from row import Reach, Row, Side

PRECISIONS = ("bf16", "fp32")
SCORES = {"val/loss": "validation loss", "dice": "mean Dice of a test case"}


def measure(given: Given) -> list[Row]:
    """Differences between the precisions, in spreads of the seeds."""
    coarse = given.tiny or resolved_precision(given.device) == "fp32"
    settings: dict[str, Any] = {
        "dataset_dir": str(given.small_data),
        "device": str(given.device),
        **({"spacing_mm": 4.0, "roi_size": [32, 32, 32]} if coarse else {}),
        **({"width": 4, "epochs": 1, "steps_per_epoch": 2, "n_subjects": 4} if given.tiny else {}),
    }
    found: dict[str, dict[str, list[float]]] = {name: {precision: [] for precision in PRECISIONS} for name in SCORES}
    n_test = 0
    for seed in range(given.pick(3, 2)):
        folders = {name: _run(given, {**settings, "seed": seed, "precision": name}) for name in PRECISIONS}
        _check_pair(folders)
        for precision, folder in folders.items():
            found["val/loss"][precision].append(float(run_curve(folder, "val/loss").iloc[-1]))
            if not given.tiny:
                cases = read_cases(score(folder, {}) or "")
                n_test = len(cases)
                found["dice"][precision].append(float(cases[["dice_TC", "dice_WT", "dice_ET"]].to_numpy().mean()))
    where = "4 mm, patches of 32^3" if coarse else "2 mm, patches of 64^3"
    rows = []
    for name, sides in found.items():
        ours, theirs = sides["bf16"], sides["fp32"]
        if not ours:
            continue
        spread = max(theirs) - min(theirs)
        ratio = abs(sum(ours) - sum(theirs)) / len(ours) / spread
        on = f", {n_test} test cases" if name == "dice" else ""
        rows.append(
            Row(
                f"Trainings in bf16 and float32, {where}: {SCORES[name]}",
                f"difference of the means over {len(ours)} seeds / spread of the float32 seeds",
                ratio,
                ratio,
                ratio,
                Side.of("bf16", SCORES[name], ours),
                Side.of("fp32", SCORES[name], theirs),
                contract=f"one configuration but for the precision; baseline on T1ce, recipe quick{on}",
                reach=Reach("at most", 1.0),
                size=given.size,
                rounds=len(ours),
            )
        )
    return rows


def _run(given: Given, settings: dict[str, Any]) -> Path:
    files = [*train_files(STUDENT), overlay(STUDENT, "recipe", "quick"), overlay(STUDENT, "method", "baseline")]
    return train(Plan.read("baseline", STUDENT, files, {**settings, "output_dir": str(given.work / "runs")}))


def _check_pair(folders: dict[str, Path]) -> None:
    configs = [yaml.safe_load((folder / "config.yaml").read_text()) for folder in folders.values()]
    differing = [name for name in configs[0] if configs[0][name] != configs[1].get(name)]
    contract(differing == ["precision"], "the precision alone differs in the configurations", differing)
    first = [float(run_curve(folder, "train/loss").iloc[0]) for folder in folders.values()]
    contract(abs(first[0] - first[1]) <= 0.1 * first[1], "the first epoch's loss differs by at most a tenth", first)
    same = [torch.load(folder / "model.pt", weights_only=True) for folder in folders.values()]
    differ = any(not torch.equal(same[0][name], same[1][name]) for name in same[0])
    contract(differ, "the weights differ", "equal weights: one of the precisions was not taken")


if __name__ == "__main__":
    answer(measure)
