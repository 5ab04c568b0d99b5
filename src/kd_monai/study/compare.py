"""Teacher, baselines and students of an output folder, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from kd_monai.data.atomic import write_bytes
from kd_monai.study.comparison_rows import comparison_rows, parent_metrics
from kd_monai.study.comparison_text import comparison_text
from kd_monai.study.evaluated_run import find_runs
from kd_monai.study.pool import Pool, group_runs
from kd_monai.tracking import Tracker


@dataclass(frozen=True)
class Comparison:
    """What a comparison found.

    Attributes:
        rows: as in ``comparison.csv``.
        text: tables for a terminal.
        path: the ``comparison.csv`` that was written.
        by_group: a run folder of each group, and the group's rows.
    """

    rows: pd.DataFrame
    text: str
    path: Path
    by_group: tuple[tuple[Path, pd.DataFrame], ...]

    def publish(self) -> None:
        """Tell the parent run of each group what a student gained and how much of the gap it closed."""
        for folder, rows in self.by_group:
            tracker = Tracker.reopen(folder)
            tracker.log_parent_metrics(parent_metrics(rows))
            tracker.log_parent_artifact(self.path)
            tracker.close()


def compare(out: str | Path, modality: str | None = None, runs: Sequence[str | Path] | None = None) -> Comparison:
    """Pool the evaluated runs of a folder over folds and seeds, compare them, and write ``comparison.csv`` there.

    Runs of different data, splits, label conventions, recipes or numbers of training subjects are never mixed: each
    such group has its own table.

    Args:
        out: folder of run folders.
        modality: show the baseline and students that read this, and the teachers; the file holds all.
        runs: compare these run folders alone.

    Returns:
        Rows, text and the path of the file.

    Raises:
        ValueError: nothing has been evaluated, nothing reads this modality, or runs that would be pooled do not belong
            together; the message names the folders and the remedy.
    """
    out = Path(out).expanduser()
    found, remarks = find_runs(out, None if runs is None else [Path(run).expanduser() for run in runs])
    groups = group_runs(found)
    by_group = [comparison_rows(group, pools) for group, pools in groups]
    rows = pd.concat(by_group, ignore_index=True)
    shown = [(group, [pool for pool in pools if _is_shown(pool, modality)]) for group, pools in groups]
    texts = [comparison_text(group, pools) for group, pools in shown if _has_networks(pools, modality)]
    if not texts:
        raise ValueError(
            f"MODALITY={modality} names no evaluated baseline or student in {out}; there are "
            f"{', '.join(sorted({run.record['modality'] for run in found}))}. Choose one of them, or train it first."
        )
    path = out / "comparison.csv"
    write_bytes(path, rows.to_csv(index=False).encode())
    told = tuple(
        (folder, group_rows)
        for (_, pools), group_rows in zip(groups, by_group, strict=True)
        if (folder := _told_by(pools)) is not None
    )
    footer = "\n".join([*remarks, f"Written to {path}"])
    return Comparison(rows, ("\n\n" + "=" * 100 + "\n\n").join(texts) + "\n\n" + footer, path, told)


def _told_by(pools: Sequence[Pool]) -> Path | None:
    """A run folder of these that has told MLflow of itself."""
    folders = [run.folder for pool in pools for run in pool.runs if (run.folder / "journal.jsonl").is_file()]
    return folders[-1] if folders else None


def _is_shown(pool: Pool, modality: str | None) -> bool:
    return modality is None or pool.role in ("teacher", "fixed_mask") or pool.modality == modality


def _has_networks(pools: Sequence[Pool], modality: str | None) -> bool:
    return modality is None or any(pool.modality == modality for pool in pools)
