"""Where results go beside the terminal: MLflow's parent run of a study, and a Markdown file."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from kd_monai.atomic import write_bytes
from kd_monai.errors import UserError
from kd_monai.report.comparable import ComparableRuns, study_of
from kd_monai.report.rows import ENDPOINT, comparison_of
from kd_monai.runs.read import COSTS
from kd_monai.tracking import Tracker

END = "<!-- end of study results -->"
_BEGIN = re.compile(r"<!-- study results: make report(?: OUT=(?P<out>\S+))? README=\S+ -->")
_ENDPOINT_COLUMNS = (
    "mean", "diff", "ci_low", "ci_high", "p_wilcoxon", "p_holm", "wins", "losses", "ties", "gap_closed",
)  # fmt: skip


def publish(
    comparables: Sequence[ComparableRuns],
    rows: Sequence[pd.DataFrame],
    metrics: Sequence[Callable[[pd.DataFrame], dict[str, float]]],
    files: Sequence[Path],
    artifact_path: str | None = None,
) -> None:
    """Send the numbers of each study to its parent run, and the files with them.

    Args:
        comparables, rows: of a report, see `report_rows`.
        metrics: functions of a study's rows that name its numbers.
        files: sent to `artifact_path` of the parent run's artifacts.
        artifact_path: default the top.
    """
    for study in dict.fromkeys(comparable.study for comparable in comparables):
        of_study = [part for one, part in zip(comparables, rows, strict=True) if one.study == study]
        runs = [run for one in comparables for pooled in one.pooled for run in pooled.runs if study_of(run) == study]
        folders = [run.folder for run in runs if (run.folder / "journal.jsonl").is_file()]
        if not folders:
            continue
        tracker = Tracker.reopen(folders[-1])
        frame = pd.concat(of_study, ignore_index=True)
        tracker.log_parent_metrics({name: value for of in metrics for name, value in of(frame).items()})
        for file in files:
            tracker.log_parent_artifact(file, artifact_path)
        tracker.close()


def comparison_metrics(rows: pd.DataFrame) -> dict[str, float]:
    """``gap_closed/<method>_<modality>/<metric>_<region>`` and ``diff/...`` of a study's students.

    Students on ``n`` training subjects are ``<method>_<modality>_n<n>``; of several configurations each ends in
    ``_<variant>``. What is undefined is left out.
    """
    metrics = {}
    rows = comparison_of(rows)
    for _, of_arm in rows[rows.role == "student"].groupby(["method", "modality", "n_subjects"], dropna=False):
        several = of_arm.variant.nunique() > 1
        for row in of_arm.to_dict("records"):
            name = f"{row['method']}_{row['modality']}"
            name += f"_n{row['n_subjects']:.0f}" if pd.notna(row["n_subjects"]) else ""
            name += f"_{row['variant']}" if several else ""
            for kind in ("diff", "gap_closed"):
                value = pd.to_numeric(row[kind], errors="coerce")
                if pd.notna(value):
                    metrics[f"{kind}/{name}/{row['metric']}_{row['region']}"] = float(value)
    return metrics


def report_metrics(rows: pd.DataFrame) -> dict[str, float]:
    """``report/<arm>_<modality>/<metric>_<region>/<column>`` of a study, as far as it is defined.

    Every column of the primary endpoint; difference and bounds of calibration and of scores at tuned thresholds; the
    mean of the costs. If the study has several configurations, ``<arm>_<modality>_<configuration>``.
    """
    metrics = {}
    rows = rows[rows.role != "fixed_mask"]
    several = rows.configuration.nunique() > 1
    for row in rows.to_dict("records"):
        if row["region"] == ENDPOINT:
            columns: tuple[str, ...] = _ENDPOINT_COLUMNS
        elif row["metric"] in COSTS:
            columns = ("mean",)
        elif row["metric"] in ("ece", "brier", "tuned_dice"):
            columns = ("diff", "ci_low", "ci_high")
        else:
            continue
        # MLflow refuses some signs of a configuration in an arm's name
        arm = re.sub(r"[^\w.-]+", "-", f"{row['arm']}", flags=re.ASCII).strip("-")
        where = row["modality"] + (f"_{row['configuration'][:4]}" if several else "")
        what = f"{row['metric']}_{row['region']}" if row["region"] else row["metric"]
        for column in columns:
            value = pd.to_numeric(row[column], errors="coerce")
            if pd.notna(value):
                metrics[f"report/{arm[:100]}_{where}/{what}/{column}"] = float(value)
    return metrics


def write_results(file: Path, text: str, out: Path) -> None:
    """Put the results of a folder between two comments of a Markdown file; the rest of the file stays.

    Raises:
        UserError: see `results_between`.
    """
    begin, end = results_between(file, out)
    content = file.read_text(encoding="utf-8")
    write_bytes(file, f"{content[:begin]}\n\n{text}\n\n{content[end:]}".encode())


def results_between(file: Path, out: Path) -> tuple[int, int]:
    """Where the results of a folder begin and end in the characters of a Markdown file.

    The first comment is the command that writes them. A comment with ``OUT`` belongs to that folder, so that a file can
    show several studies. A comment without ``OUT`` belongs to any folder that has no other.

    Raises:
        UserError: no comment or several belong to this folder, or one lacks its end.
    """
    text = file.read_text(encoding="utf-8")
    begins = list(_BEGIN.finditer(text))
    ends = [text.find(END, begin.end()) for begin in begins]
    limits = [*(begin.start() for begin in begins), len(text)][1:]
    complete = text.count(END) == len(begins) and all(0 <= end < limit for end, limit in zip(ends, limits, strict=True))
    spans = [(begin["out"], begin.end(), end) for begin, end in zip(begins, ends, strict=True)]
    of_folder = [span for span in spans if span[0] and _same_folder(span[0], out)]
    of_folder = of_folder or [span for span in spans if not span[0]]
    if not complete or len(of_folder) != 1:
        raise UserError(
            f"Results of {out} are written between the lines '<!-- study results: make report OUT={out} "
            f"README={file} -->' and '{END}', which {file} must hold once each and in this order. Add them where the "
            "results belong."
        )
    ((_, begin, end),) = of_folder
    return begin, end


def _same_folder(name: str, out: Path) -> bool:
    return Path(name).expanduser().resolve() == out.expanduser().resolve()
