"""Which method to take, by the validation parts of its runs: no test case is read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from kd_monai.errors import UserError
from kd_monai.metrics import mean_interval
from kd_monai.report.comparable import comparable_key, configuration_of, differing, digest, teachers_digest, values_of
from kd_monai.report.findings import selection_findings
from kd_monai.report.tables import render, selection_table
from kd_monai.runs.read import TrainedRun, run_curve, without_superseded

UNIT = ["modality", "fold", "seed"]
COLUMNS = ["comparable", "recipe", "n_val", "method", "arm", *UNIT, "gain"]


def choose(out: Path, methods: Collection[str] = ()) -> str:
    """Methods of a folder of runs in the order of their gain on the validation parts.

    Args:
        out: folder of run folders; ``run.json``, ``config.yaml`` and ``journal.jsonl`` of each are all that is read.
        methods: these methods alone; default all.

    Returns:
        A table for each set of comparable runs, and its findings.

    Raises:
        UserError: no finished student has a finished baseline beside it, or a method has two runs of one modality, fold
            and seed.
    """
    out = Path(out).expanduser()
    runs = [TrainedRun.read(file.parent) for file in sorted(out.glob("*/run.json"))]
    runs, remarks = without_superseded([run for run in runs if run.record.get("status") == "FINISHED"])
    gains = validation_gains(runs)
    if methods:
        gains = gains[gains.method.isin(methods)]
    if gains.empty:
        of = f" of {', '.join(sorted(methods))}" if methods else ""
        raise UserError(
            f"A choice needs finished students{of} with the baseline of their modality, fold and seed; {out} has none. "
            "Train them first (make study)."
        )
    parts = []
    for _, comparable in gains.groupby("comparable", sort=False):
        ranked = rank(comparable)
        tables = [] if ranked.empty else [selection_table(ranked, comparable)]
        parts.append({"heading": "", "facts": [], "tables": tables, "findings": selection_findings(ranked, comparable)})
    return render(parts, remarks=remarks)


def validation_gains(runs: Sequence[TrainedRun]) -> pd.DataFrame:
    """Each student's best mean Dice on its validation part minus that of its baseline, in points.

    A run is as good as its best epoch, whose weights it keeps. Its baseline has the same modality, fold and seed.

    Returns:
        A row per student with a baseline: comparable (its comparable runs), recipe, ``n_val``, method, arm (the method,
        with what its configuration has of its own in brackets), modality, fold, seed, gain.

    Raises:
        UserError: a method has two runs of one modality, fold and seed.
    """
    teachers = {str(run.record.get("run_key")): run for run in runs if run.record["role"] == "teacher"}
    comparable: dict[tuple[Any, ...], list[TrainedRun]] = {}
    for run in runs:
        if run.record["role"] in ("baseline", "student"):
            comparable.setdefault(comparable_key(run), []).append(run)
    rows = [
        {"comparable": i, "recipe": members[0].get("recipe"), "n_val": members[0].get("n_val"), **row}
        for i, members in enumerate(comparable.values())
        for row in _gains(members, teachers)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def rank(gains: pd.DataFrame) -> pd.DataFrame:
    """Arms in the order of their mean gain over the runs that all of them have.

    Args:
        gains: of comparable runs, see `validation_gains`.

    Returns:
        Indexed by arm, best first: ``all`` (mean over modalities, folds and seeds), ``low`` and ``high`` (its 95 %
        bootstrap interval over pairs of fold and seed; NaN for one pair), ``n`` (runs of each arm), and the mean of
        each modality. Empty if no modality, fold and seed is shared by all.
    """
    shared = shared_runs(gains)
    if shared.empty:
        return pd.DataFrame()
    rows = {}
    for arm, of_arm in shared.groupby("arm", sort=False):
        # a pair of fold and seed is drawn with all its modalities
        mean = mean_interval(of_arm.groupby(["fold", "seed"]).gain.mean())
        by_modality = {
            str(name): part.groupby(["fold", "seed"]).gain.mean().mean() for name, part in of_arm.groupby("modality")
        }
        rows[arm] = {"all": mean.estimate, "low": mean.low, "high": mean.high, "n": len(of_arm)} | by_modality
    return pd.DataFrame.from_dict(rows, orient="index").sort_values("all", ascending=False, kind="stable")


def shared_runs(gains: pd.DataFrame) -> pd.DataFrame:
    """The gains of the modalities, folds and seeds that all arms have."""
    counts = gains.groupby(UNIT).arm.transform("nunique")
    return gains[counts == gains.arm.nunique()]


def _gains(members: Sequence[TrainedRun], teachers: Mapping[str, TrainedRun]) -> list[dict[str, Any]]:
    curves = [(run, run_curve(run.folder)) for run in members]
    best = [(run, float(curve.max())) for run, curve in curves if len(curve)]
    baselines = {_unit(run): dice for run, dice in best if run.record["role"] == "baseline"}
    by_configuration: dict[tuple[str, str], tuple[dict[str, Any], dict[tuple[str, ...], float]]] = {}
    for run, dice in best:
        if run.record["role"] == "baseline":
            continue
        # runs of one method on several modalities and folds differ in these
        values = {name: value for name, value in configuration_of(run).items() if name not in ("modality", "teacher")}
        values["teacher"] = teachers_digest(run, teachers)
        _, gains = by_configuration.setdefault((run.record["method"], digest(values)), (values, {}))
        unit = _unit(run)
        if unit in gains:
            raise UserError(
                f"A method has one run per modality, fold and seed; {run.folder} is a second {run.record['method']} of "
                f"{', '.join(unit)}, perhaps of another teacher. Move one of them out of the folder."
            )
        if unit in baselines:
            gains[unit] = 100 * (dice - baselines[unit])
    rows = []
    for method in dict.fromkeys(method for method, _ in by_configuration):
        variants = [value for (name, _), value in by_configuration.items() if name == method]
        names = differing(values for values, _ in variants)
        without_teacher = [values_of(values, [name for name in names if name != "teacher"]) for values, _ in variants]
        # a teacher's digest says little: it is named where nothing else tells two apart
        unique = len(set(without_teacher)) == len(without_teacher)
        differs = without_teacher if unique else [values_of(values, names) for values, _ in variants]
        for text, (_, gains) in zip(differs, variants, strict=True):
            arm = method + (f" ({text})" if text else "")
            rows += [
                {"method": method, "arm": arm, **dict(zip(UNIT, unit, strict=True)), "gain": gain}
                for unit, gain in gains.items()
            ]
    return rows


def _unit(run: TrainedRun) -> tuple[str, ...]:
    return run.record["modality"], str(run.record["fold"]), str(run.record["seed"])
