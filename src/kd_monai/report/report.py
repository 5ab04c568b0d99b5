"""The proof of a study: every method against the baseline of its modality, with intervals, tests, cost and figures."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pandas as pd

from kd_monai.atomic import write_bytes
from kd_monai.phases import phase
from kd_monai.report.comparable import Group, group_runs
from kd_monai.report.compare import by_study
from kd_monai.report.facts import report_facts, report_heading
from kd_monai.report.figures import draw_figures
from kd_monai.report.label_efficiency import efficiency_tables, efficiency_words, label_efficiency
from kd_monai.report.publish import results_markdown
from kd_monai.report.report_metrics import report_metrics
from kd_monai.report.rows import report_rows
from kd_monai.report.scores_text import wrap
from kd_monai.report.table import Table
from kd_monai.report.tables import report_tables
from kd_monai.report.words import report_words
from kd_monai.runs.read import find_runs, without_superseded
from kd_monai.tracking import Tracker

FOLDER = "report"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Report:
    """What a report found.

    Attributes:
        rows: as in ``report.csv``.
        text: tables for a terminal.
        results: what README shows of it.
        folder: where it was written.
        files: ``report.md``, ``report.csv``, ``label_efficiency.csv`` where several numbers of subjects were tried, and
            the figures.
        by_study: a run folder of each study, and the study's rows.
    """

    rows: pd.DataFrame
    text: str
    results: str
    folder: Path
    files: tuple[Path, ...]
    by_study: tuple[tuple[Path, pd.DataFrame], ...]

    def publish(self) -> None:
        """Tell the parent run of each study its numbers, and send it the files."""
        logger.info("Telling MLflow")
        for folder, rows in self.by_study:
            tracker = Tracker.reopen(folder)
            tracker.log_parent_metrics(report_metrics(rows))
            for file in self.files:
                tracker.log_parent_artifact(file, FOLDER)
            tracker.close()


@phase("report")
def report(out: str | Path) -> Report:
    """Report on the evaluated runs of a folder, into its folder ``report``.

    Runs are grouped as `compare` groups them. A study that has not finished is reported as far as it has come.

    Args:
        out: folder of run folders.

    Raises:
        ValueError: nothing has been evaluated, no baseline or student is among it, or runs that would be pooled do not
            belong together.
    """
    out = Path(out).expanduser()
    logger.info("Reading the runs of %s", out)
    groups, by_group, efficiency, remarks = _found(out)
    folder = out / FOLDER
    logger.info("Drawing the figures of %d tables", len(groups))
    figures = draw_figures(groups, by_group, efficiency, folder)
    rows = pd.concat(by_group, ignore_index=True)
    write_bytes(folder / "report.csv", rows.to_csv(index=False).encode())
    tables = [folder / "report.md", folder / "report.csv"]
    if not efficiency.empty:
        tables.append(folder / "label_efficiency.csv")
        write_bytes(tables[-1], efficiency.to_csv(index=False).encode())
    sections = [_Section.of(group, own) for group, own in zip(groups, by_group, strict=True)]
    write_bytes(folder / "report.md", _markdown(sections, efficiency, remarks, figures).encode())
    files = (*tables, *figures)
    text = _text(sections, efficiency, [*remarks, f"Written to {folder}: {', '.join(f.name for f in files)}"])
    return Report(rows, text, _results(groups, by_group, efficiency), folder, files, by_study(groups, by_group))


def results(out: Path) -> str:
    """What README shows of a folder; nothing is written.

    Raises:
        ValueError: as `report` does.
    """
    groups, by_group, efficiency, _ = _found(out)
    return _results(groups, by_group, efficiency)


def _found(out: Path) -> tuple[list[Group], list[pd.DataFrame], pd.DataFrame, list[str]]:
    """The groups of a folder, what was trained on everything first, the rows of each, label efficiency and remarks."""
    found, remarks = find_runs(out)
    found, more = without_superseded(found)
    groups = [group for group in group_runs(found) if _has_own(group)]
    groups.sort(key=lambda group: group.facts["n_subjects"] is not None)
    if not groups:
        raise ValueError(
            f"A report needs an evaluated baseline or student; {out} holds teachers alone. Train them first (make "
            "baseline, make student)."
        )
    return groups, [report_rows(group) for group in groups], label_efficiency(groups), [*remarks, *more]


def _results(groups: Sequence[Group], by_group: Sequence[pd.DataFrame], efficiency: pd.DataFrame) -> str:
    shown = [results_markdown(group, own) for group, own in zip(groups, by_group, strict=True)]
    return "\n\n".join([*shown, "\n".join(f"- {word}" for word in efficiency_words(efficiency))]).rstrip()


def _has_own(group: Group) -> bool:
    return any(pool.role in ("baseline", "student") for pool in group.pools)


@dataclass(frozen=True)
class _Section:
    """What is said of one group, for a terminal and in Markdown."""

    heading: str
    facts: list[str]
    tables: list[Table]
    words: list[str]

    @classmethod
    def of(cls, group: Group, rows: pd.DataFrame) -> Self:
        return cls(report_heading(group), report_facts(group), report_tables(rows), report_words(rows))


def _text(sections: Sequence[_Section], efficiency: pd.DataFrame, remarks: Sequence[str]) -> str:
    parts = []
    for section in sections:
        blocks = ["\n".join(map(wrap, [section.heading, *section.facts]))]
        blocks += [table.text() for table in section.tables]
        blocks += ["\n".join(map(wrap, section.words))]
        parts.append("\n\n".join(block for block in blocks if block))
    if not efficiency.empty:
        tables = [table.text() for table in efficiency_tables(efficiency)]
        parts.append("\n\n".join([*tables, "\n".join(map(wrap, efficiency_words(efficiency)))]))
    return ("\n\n" + "=" * 100 + "\n\n").join(parts) + "\n\n" + "\n".join(remarks)


def _markdown(
    sections: Sequence[_Section], efficiency: pd.DataFrame, remarks: Sequence[str], figures: Sequence[Path]
) -> str:
    blocks = ["# Report", "Research software, not a medical device."]
    for section in sections:
        blocks += [f"## {section.heading}", *section.facts]
        blocks += ["\n".join(f"- {word}" for word in section.words)]
        blocks += [table.markdown() for table in section.tables]
    if not efficiency.empty:
        blocks += ["## Label efficiency", "\n".join(f"- {word}" for word in efficiency_words(efficiency))]
        blocks += [table.markdown() for table in efficiency_tables(efficiency)]
    blocks += ["## Figures", *(f"![{figure.stem}]({figure.name})" for figure in figures)] if figures else []
    blocks += ["\n".join(f"- {remark}" for remark in remarks)] if remarks else []
    return "\n\n".join(block for block in blocks if block) + "\n"
