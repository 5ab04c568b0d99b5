"""What the numbers of a report say, and what they do not."""

from __future__ import annotations

import pandas as pd

from kd_monai.report.rows import ALL, ENDPOINT, widest
from kd_monai.report.tables import Row, all_first, contains_zero, interval

_TEACHER_REGIONS = ("TC", "WT", "ET_present", ENDPOINT)
_NAMES = {"ET_present": "ET (where there is some)", ENDPOINT: "the primary endpoint"}


def report_words(rows: pd.DataFrame, brief: bool = False) -> list[str]:
    """Sentences on one group of runs: every student against its baseline, then where there is nothing to distil.

    Args:
        rows: as `report_rows` gives them.
        brief: of a student that has all modalities, what it says of them together alone.
    """
    dice = rows[rows.metric == "dice"]
    endpoints = dice[dice.region == ENDPOINT]
    students = endpoints[(endpoints.role == "student") & endpoints["diff"].notna()]
    places = all_first(rows.modality)
    if brief:
        whole = set(students[students.modality == ALL].arm)
        students = students[(students.modality == ALL) | ~students.arm.isin(whole)]
    words = [_difference(row) for place in places for row in students[students.modality == place].to_dict("records")]
    for (arm, modality), of_teacher in dice[dice.role == "teacher"].groupby(["arm", "modality"], sort=False):
        if modality != ALL:
            lost = [
                f"{_NAMES.get(row['region'], row['region'])} ({interval(row, 100, 1)})"
                for row in of_teacher[of_teacher.region.isin(_TEACHER_REGIONS)].to_dict("records")
                if pd.notna(row["diff"]) and not row["ci_low"] > 0
            ]
            if lost:
                words.append(
                    f"Warning: the {arm} is not shown to be better than the baseline on {modality} in "
                    f"{', '.join(lost)}: there is nothing to distil there."
                )
    return words + _missing(rows)


def _difference(row: Row) -> str:
    where = f"over {', '.join(row['over'].split())} together" if row["modality"] == ALL else f"on {row['modality']}"
    said = f"{row['arm']} {where}: {interval(row, 100, 1)} Dice points against the baseline in the primary endpoint; "
    if pd.isna(row["ci_low"]):
        return said + "one subject has no interval."
    if contains_zero(row):
        return (
            f"{said}the interval contains zero, so these {row['n_paired']} subjects show no difference.{_by_seed(row)}"
        )
    side = "above" if row["ci_low"] > 0 else "below"
    claim = f"the interval lies {side} zero"
    if row["p_holm"] >= 0.05:
        claim += f", but Wilcoxon's p is {row['p_holm']:.3f} after Holm's correction over the methods"
    return f"{said}{claim}.{_by_seed(row)}"


def _by_seed(row: Row) -> str:
    """What an interval over subjects does not take in: how far trainings of one method differ."""
    pairs = [part.split(":") for part in (row["by_seed"] or "").split()]
    return (
        " Seed by seed: " + ", ".join(f"{seed} {100 * float(diff):+.1f}" for seed, diff in pairs) + "." if pairs else ""
    )


def _missing(rows: pd.DataFrame) -> list[str]:
    words = []
    for modality in dict.fromkeys(rows.modality):
        roles = set(rows[rows.modality == modality].role)
        if modality != ALL and "baseline" not in roles:
            words.append(f"Missing: the baseline on {modality}, so no difference is given.")
        if modality != ALL and "teacher" not in roles:
            words.append(f"Missing: an evaluated teacher beside {modality}, so no closed gap is given.")
    together = rows[(rows.modality == ALL) & (rows.region == ENDPOINT) & (rows.metric == "dice")]
    if together.over.nunique() > 1:
        whole = widest(together)
        others = together[together.over != whole].to_dict("records")
        words.append(
            "Not over the same modalities: "
            + "; ".join(f"{row['arm']} over {row['over']}" for row in others)
            + f"; all others over {whole}. Compare these by modality."
        )
    words += _unequal(rows[(rows.region == ENDPOINT) & (rows.metric == "dice") & (rows.modality != ALL)])
    tuned = rows[rows.metric == "tuned_dice"]
    for arm, own in rows.groupby("arm", sort=False):
        without = sorted(set(own.modality) - set(tuned[tuned.arm == arm].modality))
        if without:
            words.append(
                f"{arm} ({', '.join(without)}) was evaluated before calibration and chosen thresholds were: evaluate "
                "it again (make evaluate FORCE=1) to see them."
            )
    return words


def _unequal(endpoints: pd.DataFrame) -> list[str]:
    """Teachers, baselines and students that lack a fold and seed which another of the same modality has."""
    words = []
    for modality, own in endpoints.groupby("modality", sort=False):
        runs = {row["arm"]: set(row["runs"].split()) for row in own.to_dict("records")}
        every = set().union(*runs.values())
        lacking = [
            f"{arm} lacks " + ", ".join("fold {} seed {}".format(*run.split("/")) for run in sorted(every - has))
            for arm, has in runs.items()
            if every - has
        ]
        if lacking:
            words.append(
                f"Not finished on {modality}: {'; '.join(lacking)}. Only shared subjects are compared, and a subject's "
                "mean is over the seeds that are there."
            )
    return words
