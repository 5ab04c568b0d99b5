"""Folders of evaluated runs without trainings behind them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from kd_monai.metrics import METRICS, case_row, cases_frame, write_cases
from kd_monai.task import REGIONS

EASE = {"TC": 0.0, "WT": 0.15, "ET": -0.1}
FULL = 14


def subjects_of(fold: int, n: int) -> list[str]:
    """Names of a fold's test subjects."""
    return [f"f{fold}s{i}" for i in range(n)]


def write_run(
    out: Path,
    method: str,
    modality: str = "t1ce",
    fold: int = 0,
    seed: int = 0,
    lift: float = 0.0,
    n: int = 8,
    noise: float = 0.02,
    n_subjects: int | None = None,
    extra: bool = True,
    settings: dict[str, Any] | None = None,
    **record: Any,
) -> Path:
    """A run whose Dice is a subject's and modality's own, plus `lift`, plus noise; every fourth subject has no ET.

    `method` teacher makes a teacher. `extra`: evaluated with calibration and chosen thresholds.
    """
    role = method if method in ("teacher", "baseline") else "student"
    key = f"{method}-{modality}-{fold}-{seed}-{n_subjects}-{len(list(out.iterdir()))}"
    written = {
        "role": role, "method": "baseline" if role == "teacher" else method, "modality": modality, "fold": fold,
        "seed": seed, "recipe": "study", "run_key": f"{role}-{fold}-{seed}" if role == "teacher" else key,
        "teacher_key": f"teacher-{fold}-{seed}" if role == "student" else None, "data_digest": "d" * 64,
        "split_digest": "5" * 64, "labels": "brats2018", "n_subjects": n_subjects, "n_train": n_subjects or FULL,
        "n_val": 3, "spacing_mm": 2.0, "status": "FINISHED",
    } | record  # fmt: skip
    folder = out / f"{method}_{modality}-fold{fold}-{len(list(out.iterdir()))}"
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps(written))
    config = {"folds": 3, "epochs": 120, "n_subjects": n_subjects, "fold": fold, "seed": seed} | (settings or {})
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    rows = []
    for i, subject in enumerate(subjects_of(fold, n)):
        own = np.random.default_rng(list(subject.encode())).uniform(0.35, 0.75)
        random = np.random.default_rng([*f"{subject}{method}{modality}".encode(), seed])
        place = 0.05 * ("t1", "t1ce", "t2", "flair").index(modality) if role != "teacher" else 0.1
        dice = {r: float(np.clip(own + EASE[r] + place + lift + random.normal(0, noise), 0, 1)) for r in REGIONS}
        scores = {metric: dict(dice) for metric in METRICS}
        scores["hd95"] = {region: 60 * (1 - value) for region, value in dice.items()}
        if extra:
            scores["tuned_dice"] = {region: min(1.0, value + 0.01) for region, value in dice.items()}
            scores["tuned_hd95"] = scores["hd95"]
            scores["ece"] = {region: 0.05 * (1 - value) for region, value in dice.items()}
            scores["brier"] = {region: 0.08 * (1 - value) for region, value in dice.items()}
        empty = {"TC": False, "WT": False, "ET": i % 4 == 3}
        rows.append(case_row(subject, "HGG", scores, empty, (1, 1, 1)))
    write_cases(cases_frame(rows), folder / "cases.csv")
    return folder


def write_journal(
    folder: Path,
    seconds: list[float],
    mib: list[float],
    device: str = "cpu",
    dice: list[float] | None = None,
    **params: str,
) -> None:
    """What a training tells of its cost and, every second epoch, of its validation."""
    told = {"device": device, "torch_threads": "1", "cpu": "A Processor", "cuda": "A GPU", "cpu_count": "2"} | params
    lines: list[dict[str, Any]] = [{"op": "run", "id": "1"}, {"op": "params", "values": told}]
    for epoch, (second, peak) in enumerate(zip(seconds, mib, strict=True), 1):
        values = {"train/seconds_per_step": second, "cost/peak_memory_mib": peak}
        lines.append({"op": "metrics", "step": epoch, "values": values, "parent": False})
    for i, value in enumerate(dice or [], 1):
        lines.append({"op": "metrics", "step": 2 * i, "values": {"val/dice_mean": value}, "parent": False})
    (folder / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
