"""How a training came along, as its journal tells."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from kd_monai.tracking.journal import Journal


def run_curve(folder: Path, key: str = "val/dice_mean") -> pd.Series:
    """A metric of the run in this folder by epoch, in order; empty where its journal does not tell of it."""
    values = {
        line["step"]: line["values"][key]
        for line, _ in Journal(folder / "journal.jsonl").read()
        if line["op"] == "metrics" and not line.get("parent") and key in line["values"]
    }
    return pd.Series(values, dtype=float).sort_index()
