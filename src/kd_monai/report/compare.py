"""Teacher, baselines and students of an output folder, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from kd_monai.atomic import write_bytes
from kd_monai.report.comparable import Group, group_runs, study_of
from kd_monai.report.comparison_rows import comparison_rows, parent_metrics
from kd_monai.report.comparison_text import comparison_text
from kd_monai.report.pooled import Pool
from kd_monai.runs.read import find_runs, without_superseded
from kd_monai.tracking import Tracker


@dataclass(frozen=True)
class Comparison:
    """What a comparison found.

    Attributes:
        rows: as in ``comparison.csv``.
        text: tables for a terminal.
        path: the ``comparison.csv`` that was written; None where runs were chosen, not the whole folder compared.
        by_study: a run folder of each study, and the study's rows.
    """

    rows: pd.DataFrame
    text: str
    path: Path | None
    by_study: tuple[tuple[Path, pd.DataFrame], ...]

    def publish(self) -> None:
        """Tell the parent run of each study what a student gained and how much of the gap it closed."""
        for folder, rows in self.by_study:
            tracker = Tracker.reopen(folder)
            tracker.log_parent_metrics(parent_metrics(rows))
            if self.path is not None:
                tracker.log_parent_artifact(self.path)
            tracker.close()


def compare(out: str | Path, modality: str | None = None, runs: Sequence[str | Path] | None = None) -> Comparison:
    """Pool the evaluated runs of a folder over folds and seeds, and compare them.

    A comparison of the whole folder is written to ``comparison.csv`` there. Runs of different data, splits, label
    conventions, recipes, numbers of training subjects or settings are never mixed: each such group has its own table.

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
    if runs is None:
        found, more = without_superseded(found)
        remarks += more
    groups = group_runs(found)
    by_group = [comparison_rows(group) for group in groups]
    rows = pd.concat(by_group, ignore_index=True)
    shown = [(group, [pool for pool in group.pools if _is_shown(pool, modality)]) for group in groups]
    texts = [comparison_text(group, pools) for group, pools in shown if _has_networks(pools, modality)]
    if not texts:
        raise ValueError(
            f"MODALITY={modality} names no evaluated baseline or student in {out}; there are "
            f"{', '.join(sorted({run.record['modality'] for run in found}))}. Choose one of them, or train it first."
        )
    path = out / "comparison.csv" if runs is None else None
    if path is not None:
        write_bytes(path, rows.to_csv(index=False).encode())
    footer = "\n".join([*remarks, *([f"Written to {path}"] if path else [])])
    text = ("\n\n" + "=" * 100 + "\n\n").join(texts) + (f"\n\n{footer}" if footer else "")
    return Comparison(rows, text, path, by_study(groups, by_group))


def by_study(groups: Sequence[Group], by_group: Sequence[pd.DataFrame]) -> tuple[tuple[Path, pd.DataFrame], ...]:
    """Of each study, a run folder that has told MLflow of itself, and the rows of all its groups."""
    told = []
    for study in dict.fromkeys(group.study for group in groups):
        rows = [rows for group, rows in zip(groups, by_group, strict=True) if group.study == study]
        runs = [run for group in groups for pool in group.pools for run in pool.runs if study_of(run) == study]
        folders = [run.folder for run in runs if (run.folder / "journal.jsonl").is_file()]
        told += [(folders[-1], pd.concat(rows, ignore_index=True))] if folders else []
    return tuple(told)


def _is_shown(pool: Pool, modality: str | None) -> bool:
    return modality is None or pool.role in ("teacher", "fixed_mask") or pool.modality == modality


def _has_networks(pools: Sequence[Pool], modality: str | None) -> bool:
    return modality is None or any(pool.modality == modality for pool in pools)
