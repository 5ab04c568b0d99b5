"""The tables of a report, and the one template that prints them."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from kd_monai.metrics import LOWER_IS_BETTER
from kd_monai.report.findings import all_first, interval, target, tried_on_fewer
from kd_monai.report.rows import ALL, ENDPOINT, contains_zero, widest
from kd_monai.runs.read import MEMORY, MINUTES, SECONDS
from kd_monai.task import REGIONS

Row = Mapping[Hashable, Any]
Cells = Mapping[tuple[str, str], Row]
"""(metric, region) -> row, of one arm and modality."""
WIDTH = 100
TITLES = {"ET_present": "ET present"}
SHOWN = ("TC", "WT", "ET_present")
_METRICS = {"dice": ("Dice", "Dice in %", 100.0), "hd95": ("HD95", "HD95 in mm", 1.0)}

ENDPOINT_NOTE = (
    "The primary endpoint is the mean Dice of WT, TC and ET, where ET counts only subjects that have it. Differences "
    "are paired, with a 95 % bootstrap interval over subjects; seeds are averaged first. p is Wilcoxon's signed-rank "
    "test, p Holm its correction over the methods of this table. +/-/= counts better, worse and equal subjects."
)
STAR_NOTE = "*: p < 0.05 after Holm's correction over the methods. An interval with zero shows no difference."
PRESENT_NOTE = "ET present: only subjects whose reference has ET."
CALIBRATION_NOTE = (
    "Expected calibration error (15 bins of equal width) and Brier score over the brain's voxels, means over subjects. "
    "↓ and ↑: significantly lower or higher than the baseline. A teacher sees another brain mask and "
    "is not compared."
)
THRESHOLD_NOTE = "Thresholds are chosen per arm and region on the validation part, without test subjects."
COST_NOTE = (
    "Seconds a step: median over epochs. Peak memory: allocated on a GPU, resident on a CPU, where it includes earlier "
    "runs of the same process. Minutes: a run from data check to scores and bundle."
)
LABELLED_NOTE = "Labelled: subjects that a network and its teacher were trained on. n: test subjects compared."
SELECTION_NOTE = "The gain on validation data chooses a method. It does not estimate the gain on new patients."


@dataclass(frozen=True)
class Table:
    """Text under a title.

    Attributes:
        title: what is shown, with its unit.
        frame: cells, indexed by the names of the rows.
        notes: sentences below; of several tables with the same note, the first shows it.
    """

    title: str
    frame: pd.DataFrame
    notes: Sequence[str] = field(default=())

    def lines(self) -> list[str]:
        """Padded lines of Markdown."""
        cells = [["", *map(str, self.frame.columns)], *([str(name), *row] for name, *row in self.frame.itertuples())]
        cells = [[cell.replace("|", "\\|") for cell in row] for row in cells]
        widths = [max(3, *(len(row[i]) for row in cells)) for i in range(len(cells[0]))]
        cells.insert(1, ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])])
        return [
            "| " + " | ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) + " |" for row in cells
        ]


def render(
    parts: Sequence[Mapping[str, Any]], title: str = "", figures: Sequence[Path] = (), remarks: Sequence[str] = ()
) -> str:
    """Markdown that also reads well in a terminal.

    Args:
        parts: each with ``heading``, ``facts``, ``findings`` and ``tables``.
        title: of the document; a part of another document has none.
        figures: files beside it.
        remarks: on the whole.
    """
    template = _environment.get_template("report.md.j2")
    text = template.render(parts=parts, title=title, figures=figures, remarks=remarks, noted=[])
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def _wrap(text: str, indent: int = 0) -> str:
    return textwrap.fill(
        text, WIDTH - indent, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
    )


_environment = Environment(
    loader=PackageLoader("kd_monai.report"), undefined=StrictUndefined, trim_blocks=True, autoescape=False
)
_environment.filters["wrap"] = _wrap


def short_tables(rows: pd.DataFrame) -> list[Table]:
    """Of each modality: scores side by side, then each student against its baseline.

    Args:
        rows: see `report_rows`.
    """
    tables = []
    masks = rows[rows.role == "fixed_mask"]
    for modality in (name for name in all_first(rows) if name != ALL):
        of_modality = pd.concat([rows[rows.modality == modality], masks])
        tables += [_scores(of_modality, modality, metric, (*REGIONS, "ET_present")) for metric in _METRICS]
        tables.append(_students(of_modality, modality))
    return _filled(tables)


def long_tables(rows: pd.DataFrame) -> list[Table]:
    """All tables of comparable runs.

    Args:
        rows: see `report_rows`.
    """
    rows = rows[rows.role != "fixed_mask"]
    modalities = all_first(rows)
    tables = [endpoint_table(rows, ALL), _endpoint_by_modality(rows)] if ALL in modalities else []
    for modality in (name for name in modalities if name != ALL):
        of_modality = rows[rows.modality == modality]
        tables.append(endpoint_table(rows, modality))
        for metric in _METRICS:
            tables += [_scores(of_modality, modality, metric), _differences(of_modality, modality, metric)]
        tables += [_calibration(of_modality, modality), _thresholds(of_modality, modality)]
    return _filled([*tables, _costs(rows)])


def overview_tables(rows: pd.DataFrame) -> list[Table]:
    """The tables that a document shows: the endpoint, by modality and by region, and the costs.

    Args:
        rows: see `report_rows`.
    """
    rows = rows[rows.role != "fixed_mask"]
    modalities = all_first(rows)
    if ALL in modalities:
        tables = [endpoint_table(rows, ALL), _endpoint_by_modality(rows)]
    else:
        tables = [endpoint_table(rows, modality) for modality in modalities]
    title = f"Dice in %: {' / '.join(TITLES.get(region, region) for region in SHOWN)}, means over subjects"
    return _filled([*tables, _by_modality(rows, title, _regions, [PRESENT_NOTE]), _costs(rows)])


def endpoint_table(rows: pd.DataFrame, modality: str) -> Table:
    """The primary endpoint of every arm, on one modality or on ``all``."""
    endpoints = rows[(rows.modality == modality) & (rows.metric == "dice") & (rows.region == ENDPOINT)]
    most = widest(endpoints)
    cells = {
        row["arm"] if row["over"] == most else f"{row['arm']} ({', '.join(row['over'].split())})": {
            "Dice": f"{100 * row['mean']:.1f}",
            "difference": interval(row, 100, 1),
            "p": _p_value(row["p_wilcoxon"]),
            "p Holm": _p_value(row["p_holm"]),
            "+/-/=": "" if pd.isna(row["wins"]) else f"{row['wins']}/{row['losses']}/{row['ties']}",
            "gap closed": _gap(row),
            "seed by seed": _by_seed(row),
            "": _starred(_verdict(row), row),
        }
        for row in endpoints.to_dict("records")
    }
    over = ", ".join(most.split()) if modality == ALL else modality
    title = f"Primary endpoint on {over}: Dice in %, difference to the baseline in points"
    frame = pd.DataFrame.from_dict(cells, orient="index")
    if len(frame) and not frame["seed by seed"].any():
        frame = frame.drop(columns="seed by seed")
    return Table(title, frame, [ENDPOINT_NOTE, STAR_NOTE])


def efficiency_tables(rows: pd.DataFrame) -> list[Table]:
    """Arms by number of labelled subjects, for all modalities together and for each.

    Args:
        rows: see `label_efficiency`. Students with one number of subjects, that of the full baseline, are left out.
    """
    tables = []
    for family, of_family in rows.groupby("family", sort=False):
        more = f", configuration {str(family)[:4]}" if rows.family.nunique() > 1 else ""
        for modality in all_first(of_family):
            of_modality = of_family[of_family.modality == modality]
            known = of_modality[of_modality.n_labelled.notna()]
            fewer = tried_on_fewer(known)
            if not fewer.any():
                continue
            points = known[fewer | (known.role == "baseline")].sort_values(["role", "arm", "n_labelled", "n_train"])
            cells = [
                {
                    "labelled": f"{row['n_labelled']:.0f}",
                    "of its own": f"{row['n_train']:.0f}",
                    "Dice": f"{100 * row['mean']:.1f}",
                    "difference": interval(row, 100, 1),
                    "n": str(row["n_paired"]),
                }
                for row in points.to_dict("records")
            ]
            where = "all modalities" if modality == ALL else modality
            title = f"Label efficiency on {where}{more}: primary endpoint in %, difference in points to "
            frame = pd.DataFrame(cells, index=list(points.arm))
            tables.append(Table(title + target(of_modality), frame, [LABELLED_NOTE]))
    return tables


def selection_table(ranked: pd.DataFrame, gains: pd.DataFrame) -> Table:
    """Methods in the order of their gain on the validation parts.

    Args:
        ranked: see `rank`.
        gains: see `validation_gains`, of the same comparable runs.
    """
    cells = {
        arm: {
            "runs": f"{row['n']:.0f}",
            "gain": f"{row['all']:+.1f}",
            "95 %": "" if pd.isna(row["low"]) else f"[{row['low']:+.1f}, {row['high']:+.1f}]",
            **{name: f"{row[name]:+.1f}" for name in ranked.columns.drop(["all", "low", "high", "n"])},
        }
        for arm, row in ranked.iterrows()
    }
    first = gains.iloc[0]
    n_val = "" if pd.isna(first.n_val) else f", {first.n_val:.0f} validation subjects in the first run"
    title = f"Gain over the baseline in best mean Dice on the validation part, in points (recipe {first.recipe}{n_val})"
    note = "Intervals are 95 % bootstrap intervals over pairs of fold and seed. " + SELECTION_NOTE
    return Table(title, pd.DataFrame.from_dict(cells, orient="index"), [note])


def _students(rows: pd.DataFrame, modality: str) -> Table:
    cells: dict[str, dict[str, str]] = {}
    scores = [("dice", region) for region in (*SHOWN, "mean")] + [("hd95", region) for region in SHOWN]
    for arm, of_arm in _by_arm(rows[rows.role == "student"]).items():
        for metric, region in scores:
            row = of_arm.get((metric, region))
            if row is None or pd.isna(row["diff"]):
                continue
            name, _, scale = _METRICS[metric]
            lead = {"diff": row["teacher_diff"], "ci_low": row["teacher_ci_low"], "ci_high": row["teacher_ci_high"]}
            cells[f"{arm}, {name} {TITLES.get(region, region)}"] = {
                "student − baseline": interval(row, scale, 1),
                "teacher − baseline": interval(lead, scale, 1),
                "gap closed": _gap(row),
                "n": str(row["n_paired"]),
                "": _verdict(row),
            }
    notes = [
        "Paired differences: Dice in points, HD95 in mm (lower is better), with 95 % bootstrap intervals over "
        "subjects. Not shown: the interval contains zero. Undefined: the teacher is not significantly better than the "
        "baseline."
    ]
    return Table(f"Students against the baseline on {modality}", pd.DataFrame.from_dict(cells, orient="index"), notes)


def _filled(tables: Iterable[Table]) -> list[Table]:
    return [table for table in tables if len(table.frame)]


def _by_arm(rows: pd.DataFrame) -> dict[str, dict[tuple[str, str], Row]]:
    """Arm -> (metric, region) -> row, in the order of the rows."""
    arms: dict[str, dict[tuple[str, str], Row]] = {}
    for row in rows.to_dict("records"):
        arms.setdefault(row["arm"], {})[row["metric"], row["region"]] = row
    return arms


def _scores(rows: pd.DataFrame, modality: str, metric: str, regions: Sequence[str] = SHOWN) -> Table:
    _, unit, scale = _METRICS[metric]
    of_metric = rows[rows.metric == metric]
    cells = {
        arm: {TITLES.get(region, region): _mean_std(of_arm.get((metric, region)), scale) for region in regions}
        for arm, of_arm in _by_arm(of_metric[of_metric.region.isin(regions)]).items()
    }
    empty = of_metric[of_metric.region == "ET"].n_empty
    notes = [f"ET present: without the {empty.max()} subjects whose reference has no ET."] if len(empty) else []
    title = f"{unit} on {modality}, mean ± standard deviation over subjects"
    return Table(title, pd.DataFrame.from_dict(cells, orient="index"), notes)


def _differences(rows: pd.DataFrame, modality: str, metric: str) -> Table:
    name, _, scale = _METRICS[metric]
    cells = {}
    for arm, of_arm in _by_arm(rows).items():
        by_region = {region: of_arm[metric, region] for region in SHOWN if (metric, region) in of_arm}
        texts = {
            TITLES.get(region, region): _starred(interval(row, scale, 1), row) for region, row in by_region.items()
        }
        if len(by_region) == len(SHOWN) and any(texts.values()):
            cells[arm] = texts
    unit = "Dice points" if metric == "dice" else f"mm of {name}, lower is better"
    title = f"Difference to the baseline on {modality}, {unit} [95 % bootstrap interval]"
    return Table(title, pd.DataFrame.from_dict(cells, orient="index"), [STAR_NOTE])


def _calibration(rows: pd.DataFrame, modality: str) -> Table:
    columns = {
        (metric, region): f"{name} {region}"
        for metric, name in (("ece", "ECE"), ("brier", "Brier"))
        for region in REGIONS
    }
    cells = {
        arm: {title: f"{100 * of_arm[key]['mean']:.2f}{_arrow(of_arm[key])}" for key, title in columns.items()}
        for arm, of_arm in _by_arm(rows).items()
        if all(key in of_arm for key in columns)
    }
    title = f"Calibration on {modality}, in %, lower is better"
    return Table(title, pd.DataFrame.from_dict(cells, orient="index"), [CALIBRATION_NOTE])


def _thresholds(rows: pd.DataFrame, modality: str) -> Table:
    cells = {
        arm: {
            f"{column}{name}": text
            for name, metric in ((" at 0.5", "dice"), (" at tuned", "tuned_dice"))
            for column, text in (
                ("Dice", f"{100 * of_arm[metric, ENDPOINT]['mean']:.1f}"),
                ("difference", interval(of_arm[metric, ENDPOINT], 100, 1)),
            )
        }
        for arm, of_arm in _by_arm(rows).items()
        if ("dice", ENDPOINT) in of_arm and ("tuned_dice", ENDPOINT) in of_arm
    }
    title = f"Primary endpoint on {modality} at probability 0.5 and at tuned thresholds"
    return Table(title, pd.DataFrame.from_dict(cells, orient="index"), [THRESHOLD_NOTE])


def _costs(rows: pd.DataFrame) -> Table:
    """One row an arm: which modality a network reads does not change its cost."""
    columns = {SECONDS: ("seconds a step", 3), MEMORY: ("peak MiB", 0), MINUTES: ("minutes", 1)}
    costs = rows[rows.metric.isin(columns) & (rows.modality != ALL)]
    means = costs.pivot_table(index="arm", columns="metric", values="mean", sort=False).reindex(columns=list(columns))
    cells = {
        arm: {
            title: text
            for metric, (name, digits) in columns.items()
            for title, text in (
                (name, _number(row[metric], digits)),
                (f"{name} / baseline", _number(row[metric] / means[metric].get("baseline", float("nan")), 2)),
            )
            if metric != MINUTES or title == name
        }
        for arm, row in means.iterrows()
    }
    frame = pd.DataFrame.from_dict(cells, orient="index").rename(columns=lambda name: re.sub(".* / ", "x ", str(name)))
    return Table("Cost of a training, means over runs and modalities", frame, [COST_NOTE])


def _by_modality(rows: pd.DataFrame, title: str, cell: Callable[[Cells], str], notes: Sequence[str]) -> Table:
    modalities = [name for name in all_first(rows) if name != ALL]
    arms_of = {modality: _by_arm(rows[rows.modality == modality]) for modality in modalities}
    cells = {arm: {name: cell(arms_of[name].get(arm, {})) for name in modalities} for arm in _by_arm(rows)}
    cells = {arm: texts for arm, texts in cells.items() if any(texts.values())}
    return Table(title, pd.DataFrame.from_dict(cells, orient="index"), notes)


def _endpoint_by_modality(rows: pd.DataFrame) -> Table:
    title = "Primary endpoint on each modality: difference to the baseline in points (of the baseline: Dice in %)"
    return _by_modality(rows, title, _endpoint_cell, [STAR_NOTE])


def _endpoint_cell(of_arm: Cells) -> str:
    row = of_arm.get(("dice", ENDPOINT))
    if row is None:
        return ""
    return f"{100 * row['mean']:.1f}" if row["role"] == "baseline" else _starred(interval(row, 100, 1), row)


def _regions(of_arm: Cells) -> str:
    dice = [of_arm.get(("dice", region)) for region in SHOWN]
    return " / ".join("–" if row is None else f"{100 * row['mean']:.1f}" for row in dice) if any(dice) else ""


def _verdict(row: Row) -> str:
    if pd.isna(row["diff"]):
        return ""
    if pd.isna(row["ci_low"]):
        return "too few"
    if contains_zero(row):
        return "not shown"
    return "better" if (row["diff"] > 0) == (row["metric"] not in LOWER_IS_BETTER) else "worse"


def _starred(text: str, row: Row) -> str:
    return text + ("*" if row["p_holm"] < 0.05 else "")


def _arrow(row: Row) -> str:
    return "" if pd.isna(row["diff"]) or contains_zero(row) else "↓" if row["diff"] < 0 else "↑"


def _gap(row: Row) -> str:
    value = pd.to_numeric(row["gap_closed"], errors="coerce")
    return "" if pd.isna(row["gap_closed"]) else str(row["gap_closed"]) if pd.isna(value) else f"{value:.2f}"


def _by_seed(row: Row) -> str:
    pairs = [part.split(":") for part in (row["by_seed"] or "").split()]
    return ", ".join(f"{seed}: {100 * float(diff):+.1f}" for seed, diff in pairs)


def _p_value(p: float) -> str:
    return "" if pd.isna(p) else "<0.001" if p < 0.001 else f"{p:.3f}"


def _number(value: float, digits: int) -> str:
    return "" if pd.isna(value) else f"{value:.{digits}f}"


def _mean_std(row: Row | None, scale: float) -> str:
    if row is None:
        return ""
    return f"{scale * row['mean']:.1f}" + (f" ± {scale * row['std']:.1f}" if row["n"] > 1 else "")
