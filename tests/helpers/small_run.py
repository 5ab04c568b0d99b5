"""A datalist and a run folder without files behind them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kd_monai.data import Datalist
from kd_monai.runs.folder import RunFolder
from kd_monai.task import LABEL_CONVENTIONS

CONFIG = {"modality": "t1ce", "epochs": 2, "learning_rate": 0.001, "terms": {"kl": {"weight": 1.0}}}


def entries(*subjects: str) -> list[Any]:
    return [{"subject": name, "patient": name, "grade": "HGG", "image": {}, "label": ""} for name in subjects]


def datalist(digest: str = "d" * 64, test: tuple[str, ...] = ("e", "f")) -> Datalist:
    """Subjects a to d to train and validate on, and those to test on."""
    return Datalist(
        train=entries("a", "b", "c"),
        val=entries("d"),
        test=entries(*test),
        modalities=("t1ce",),
        convention=LABEL_CONVENTIONS["brats2018"],
        layout="brats",
        digest=digest,
        split={"folds": [list(test), ["a", "b"], ["c", "d"]], "val": {"0": ["d"]}},
    )


def run_folder(out: Path, **changes: Any) -> RunFolder:
    """A student's run of `CONFIG` under `out`."""
    settings: dict[str, Any] = {
        "role": "student", "method": "kdnet", "modality": "t1ce", "datalist": datalist(), "fold": 0, "seed": 7,
        "recipe": "quick", "spacing_mm": 2.0, "config": CONFIG,
    }  # fmt: skip
    return RunFolder(out, **{**settings, **changes})
