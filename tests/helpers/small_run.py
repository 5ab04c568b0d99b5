"""A datalist and a run folder without files behind them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kd_monai.config.plan import Plan
from kd_monai.data import Datalist
from kd_monai.runs import RunFolder
from kd_monai.task import LABEL_CONVENTIONS

CONFIG = {
    "role": "student", "method": "kdnet", "modality": "t1ce", "fold": 0, "seed": 7, "recipe": "quick",
    "spacing_mm": 2.0, "epochs": 2, "learning_rate": 0.001, "terms": {"kl": {"weight": 1.0}},
}  # fmt: skip


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


def plan(out: Path, **config: Any) -> Plan:
    """Of `CONFIG` with changes, under `out`."""
    changed = {**CONFIG, "output_dir": str(out), **config}
    return Plan(changed["role"], Path("bundle"), (), {}, changed)


def run_folder(
    out: Path, data: Datalist | None = None, teacher: Any = None, device: str = "cpu", **config: Any
) -> RunFolder:
    """A student's run of `CONFIG` with changes, under `out`."""
    return RunFolder(plan(out, **config), data or datalist(), device, teacher=teacher)
