"""The report of a folder of runs: a short form to read after a training, and a long form with proof and figures."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from kd_monai.atomic import write_bytes
from kd_monai.errors import UserError
from kd_monai.phases import phase
from kd_monai.report.arms import order
from kd_monai.report.comparable import ComparableRuns, comparable_key, comparable_runs
from kd_monai.report.findings import facts, findings, heading, label_efficiency_findings, short_findings
from kd_monai.report.label_efficiency import label_efficiency, labelled_runs
from kd_monai.report.publish import comparison_metrics, publish, report_metrics, results_between, write_results
from kd_monai.report.rows import ALL, comparison_of, report_rows
from kd_monai.report.tables import efficiency_tables, long_tables, overview_tables, render, short_tables
from kd_monai.runs.read import EvaluatedRun, find_runs, without_superseded

FOLDER = "report"
NOTHING = "Nothing to compare: no run has a test fold (FOLD=all)."

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Study:
    """The finished runs of a folder, as data frames.

    Attributes:
        comparables: runs that may be compared; those with all training subjects first.
        rows: of each, see `report_rows`.
        remarks: on runs that are left out.
    """

    comparables: list[ComparableRuns]
    rows: list[pd.DataFrame]
    remarks: list[str]

    @property
    def frame(self) -> pd.DataFrame:
        """The rows of all."""
        return pd.concat(self.rows, ignore_index=True)


@phase("comparison")
def short(out: Path, runs: Sequence[Path] | None = None, modality: str | None = None) -> str:
    """Teacher, baseline and students side by side; MLflow's parent runs get the differences.

    Of a whole folder, ``comparison.csv`` is written there: a selection of the rows of a report.

    Args:
        out: folder of run folders.
        runs: these runs, with the teacher, baseline and student of their folder that they lack.
        modality: only the baseline and students that read this, for example ``t1ce`` or ``t1-t2``, and their teachers.

    Returns:
        Text for a terminal; `NOTHING` if none of `runs` has scores.

    Raises:
        UserError: no run has been evaluated, no run reads the modality, or runs that would be pooled do not belong
            together.
    """
    out = Path(out).expanduser()
    folders = None if runs is None else [Path(run).expanduser() for run in runs]
    if folders is not None:
        evaluated = [folder for folder in folders if (folder / "cases.csv").is_file() or not folder.is_dir()]
        if not evaluated:
            return NOTHING
        if all(folder.is_dir() for folder in evaluated):
            folders = [*evaluated, *counterparts([EvaluatedRun.read(folder) for folder in evaluated])]
    study = read_study(out, folders)
    parts = []
    for comparable, rows in zip(study.comparables, study.rows, strict=True):
        of_modality = rows if modality is None else rows[(rows.modality == modality) | (rows.role == "fixed_mask")]
        if (of_modality.role != "fixed_mask").any():
            sentences = short_findings(of_modality[of_modality.modality != ALL])
            parts.append(_part(comparable, [*short_tables(of_modality)], sentences))
    if not parts:
        networks = study.frame[lambda frame: (frame.role != "fixed_mask") & (frame.modality != ALL)]
        raise UserError(
            f"MODALITY={modality} names no evaluated baseline or student in {out}; there are "
            f"{', '.join(sorted(set(networks.modality), key=order))}. Choose one of them, or train it first."
        )
    files = []
    if runs is None:
        files = [out / "comparison.csv"]
        write_bytes(files[0], comparison_of(study.frame).to_csv(index=False).encode())
    publish(study.comparables, study.rows, [comparison_metrics], files)
    return render(parts, remarks=[*study.remarks, *(f"Written to {file}" for file in files)])


@phase("report")
def report(out: Path, readme: Path | None = None) -> str:
    """Every method against the baseline of its modality, with intervals, tests, calibration, costs and figures.

    ``report.md``, ``report.csv``, ``label_efficiency.csv`` (if several numbers of subjects were tried) and the figures
    are written to the folder ``report``. MLflow's parent runs get the numbers and the files. A study that has not
    finished is reported as far as it is.

    Args:
        out: folder of run folders.
        readme: a Markdown file whose results between markers are written anew; see `write_results`.

    Returns:
        The text of ``report.md``, and where it was written.

    Raises:
        UserError: nothing has been evaluated, no baseline or student is among it, runs that would be pooled do not
            belong together, or `readme` has no markers for this folder.
    """
    from kd_monai.report.figures import draw_figures  # matplotlib takes half a second that the short form need not wait

    out = Path(out).expanduser()
    if readme is not None:
        results_between(readme, out)  # refused before the tables are computed
    logger.info("Reading the runs of %s", out)
    study = _with_students(out)
    efficiency = label_efficiency(labelled_runs(study.comparables))
    folder = out / FOLDER
    logger.info("Drawing the figures of %d tables", len(study.comparables))
    figures = draw_figures(study.comparables, study.rows, efficiency, folder)
    tables = {"report.csv": study.frame} | ({} if efficiency.empty else {"label_efficiency.csv": efficiency})
    for name, frame in tables.items():
        write_bytes(folder / name, frame.to_csv(index=False).encode())
    parts = [
        _part(comparable, long_tables(rows), findings(rows))
        for comparable, rows in zip(study.comparables, study.rows, strict=True)
    ]
    text = render([*parts, *_efficiency_part(efficiency)], "Report", figures, study.remarks)
    write_bytes(folder / "report.md", f"{text}\n".encode())
    files = [folder / "report.md", *(folder / name for name in tables), *figures]
    logger.info("Telling MLflow")
    publish(study.comparables, study.rows, [comparison_metrics, report_metrics], files, FOLDER)
    if readme is not None:
        write_results(readme, _results(study, efficiency), out)
    return f"{text}\n\nWritten to {folder}: {', '.join(file.name for file in files)}"


def results(out: Path) -> str:
    """The overview of a folder that `report` writes into a Markdown file; nothing is written.

    Raises:
        UserError: see `report`.
    """
    study = _with_students(Path(out).expanduser())
    return _results(study, label_efficiency(labelled_runs(study.comparables)))


def read_study(out: Path, runs: Sequence[Path] | None = None) -> Study:
    """The finished and evaluated runs of a folder; others are named in the remarks.

    Args:
        out: folder of run folders.
        runs: these run folders alone.

    Raises:
        UserError: no run has been evaluated, or runs that would be pooled do not belong together.
    """
    evaluated, remarks = find_runs(out, runs)
    finished = []
    for run in evaluated:
        status = run.record.get("status", "FINISHED")  # a fixed mask has none
        if status == "FINISHED":
            finished.append(run)
        else:
            remarks.append(f"{run.folder.name} is left out: its training is {status}, and its scores are older.")
    if runs is None:
        finished, more = without_superseded(finished)
        remarks += more
    if not finished:
        raise UserError(f"A comparison needs finished runs; found none in {out}. {' '.join(remarks)}")
    comparables = sorted(comparable_runs(finished), key=lambda one: one.facts["n_subjects"] is not None)
    return Study(comparables, [report_rows(comparable) for comparable in comparables], remarks)


def counterparts(runs: Sequence[EvaluatedRun]) -> list[Path]:
    """Evaluated runs in the folder of the last of these runs, of the roles that these runs lack.

    They share its study, configuration, fold and seed and, unless they are teachers, its modality. If there is a
    student, the teachers are those that taught it, whatever their configuration.

    Args:
        runs: at least one run.
    """
    last = runs[-1]
    wanted = {"teacher", "baseline", "student"} - {run.record["role"] for run in runs}
    files = sorted(last.folder.parent.glob(f"*-fold{last.record['fold']}-*/cases.csv"))
    others = [EvaluatedRun.read(file.parent) for file in files if (file.parent / "run.json").is_file()]
    others, _ = without_superseded(others)
    others = [run for run in others if run.record["role"] in wanted]
    alike = [run for run in others if _alike(run, last)]
    students = [run for run in [*runs, *alike] if run.record["role"] == "student"]
    if students:
        keys = {key for run in students for key in run.teacher_keys}
        taught = [run for run in others if run.record["role"] == "teacher" and run.record.get("run_key") in keys]
        alike = [*taught, *(run for run in alike if run.record["role"] != "teacher")]
    return [run.folder for run in alike]


def _alike(run: EvaluatedRun, other: EvaluatedRun) -> bool:
    teacher = "teacher" in (run.record["role"], other.record["role"])
    names = ["fold", "seed"] if teacher else ["fold", "seed", "modality"]
    same = all(run.record[name] == other.record[name] for name in names)
    return same and comparable_key(run) == comparable_key(other)


def _with_students(out: Path) -> Study:
    study = read_study(out)
    pairs = [
        (comparable, rows)
        for comparable, rows in zip(study.comparables, study.rows, strict=True)
        if rows.role.isin(["baseline", "student"]).any()
    ]
    if not pairs:
        raise UserError(
            f"A report needs an evaluated baseline or student; {out} holds teachers alone. Train them first (make "
            "baseline, make student)."
        )
    return Study([comparable for comparable, _ in pairs], [rows for _, rows in pairs], study.remarks)


def _results(study: Study, efficiency: pd.DataFrame) -> str:
    parts = [
        _part(comparable, overview_tables(rows), findings(rows, overview=True))
        for comparable, rows in zip(study.comparables, study.rows, strict=True)
    ]
    sentences = label_efficiency_findings(efficiency)
    more = [{"heading": "", "facts": [], "findings": sentences, "tables": []}] if sentences else []
    return render([*parts, *more])


def _part(comparable: ComparableRuns, tables: Sequence[Any], sentences: Sequence[str]) -> Mapping[str, Any]:
    return {"heading": heading(comparable), "facts": facts(comparable), "tables": tables, "findings": sentences}


def _efficiency_part(rows: pd.DataFrame) -> list[Mapping[str, Any]]:
    sentences = label_efficiency_findings(rows)
    part = {"heading": "Label efficiency", "facts": [], "tables": efficiency_tables(rows), "findings": sentences}
    return [part] if sentences else []
