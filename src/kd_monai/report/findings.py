"""What the numbers of a report mean, in sentences, and what they were measured on."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from kd_monai.report.arms import order
from kd_monai.report.comparable import ComparableRuns
from kd_monai.report.label_efficiency import EVERY
from kd_monai.report.rows import ALL, ENDPOINT, contains_zero, widest
from kd_monai.runs.read import hardware_of, run_cost
from kd_monai.task import REGIONS

Row = Mapping[Hashable, Any]
_TEACHER_REGIONS = ("TC", "WT", "ET_present", ENDPOINT)
_NAMES = {"ET_present": "ET (subjects with ET)", ENDPOINT: "the primary endpoint"}
_MISSING_NOTE = (
    "Train missing runs with the variables of these runs: the same DATA, RECIPE, NETWORK, FOLD, SEED, EPOCHS, "
    "N_SUBJECTS and SET."
)


def heading(comparable: ComparableRuns) -> str:
    """Recipe, number of training subjects and what differs from the study's other tables."""
    facts = comparable.facts
    text = f"Recipe {facts['recipe']}"
    if facts["n_subjects"] is not None:
        text += f", {facts['n_subjects']} training subjects"
    return text + (f", {comparable.differs}" if comparable.differs else "")


def facts(comparable: ComparableRuns) -> list[str]:
    """Subjects, resolution, folds, seeds and hardware; the empty references; the digests of data and split."""
    networks = [pooled for pooled in comparable.pooled if pooled.role != "fixed_mask"]
    hardware = hardware_of(run_cost(run.folder) for pooled in networks for run in pooled.runs)
    values = comparable.facts
    cases = pd.concat([pooled.cases for pooled in networks or comparable.pooled]).drop_duplicates("subject")
    empty = ", ".join(f"{region} {cases[f'empty_{region}'].sum()}" for region in REGIONS)
    digests = f"data {comparable.data}, split {str(values['split_digest'])[:8]}, labels {values['labels']}"
    return [
        f"{short_facts([comparable])}; {hardware}.",
        f"Empty references: {empty}.",
        f"Digests: {digests}, configuration {values['configuration']}.",
    ]


def short_facts(comparables: Sequence[ComparableRuns]) -> str:
    """Subjects, resolution, folds and seeds in one line."""
    pools = [pooled for one in comparables for pooled in one.pooled]
    students = [pooled for pooled in pools if pooled.role in ("baseline", "student")]
    pools = students or [pooled for pooled in pools if pooled.role == "teacher"] or pools
    runs = [run for pooled in pools for run in pooled.runs]
    counts = sorted({len(pooled.cases) for pooled in pools})
    folds = sorted({str(run.record["fold"]) for run in runs})
    seeds = sorted({str(run.record["seed"]) for run in runs}, key=lambda text: (len(text), text))
    number = _joined({run.config.get("folds") for run in runs})
    trained = _joined({_spacing(run.get("spacing_mm")) for run in runs})
    scored = sorted({text for pooled in pools for text in pooled.cases.spacing_mm} - {""})
    parts = [f"n = {' to '.join(str(n) for n in dict.fromkeys((counts[0], counts[-1])))} test subjects"]
    parts += [f"trained at {trained} mm"] if trained else []
    parts += [f"scored at {scored[0]} mm"] if len(scored) == 1 else []
    parts += [f"scored on {len(scored)} grids"] if len(scored) > 1 else []
    parts += [f"fold{'s' * (len(folds) > 1)} {', '.join(folds)}{f' of {number}' if number else ''}"]
    return ", ".join([*parts, f"seed{'s' * (len(seeds) > 1)} {', '.join(seeds)}"])


def findings(rows: pd.DataFrame, overview: bool = False) -> list[str]:
    """Sentences on comparable runs: each student against its baseline, then where the teacher has no lead.

    Args:
        rows: see `report_rows`.
        overview: only the mean over all modalities, for students that have it.
    """
    dice = rows[rows.metric == "dice"]
    endpoints = dice[dice.region == ENDPOINT]
    students = endpoints[(endpoints.role == "student") & endpoints["diff"].notna()]
    if overview:
        over_all = set(students[students.modality == ALL].arm)
        students = students[(students.modality == ALL) | ~students.arm.isin(over_all)]
    sentences = []
    unclear: dict[str, list[str]] = {}
    for modality in all_first(rows):
        for row in students[students.modality == modality].to_dict("records"):
            if pd.isna(row["ci_low"]) or contains_zero(row):
                unclear.setdefault(_where(row), []).append(f"{row['arm']} {interval(row, 100, 1)}")
            else:
                sentences.append(_difference(row))
    sentences += [
        f"No significant difference from the baseline in the primary endpoint {where}: {_listed(arms)} Dice points."
        for where, arms in unclear.items()
    ]
    for (name, of), of_teacher in dice[dice.role == "teacher"].groupby(["arm", "modality"], sort=False):
        regions = [
            f"{_NAMES.get(row['region'], row['region'])} ({interval(row, 100, 1)})"
            for row in of_teacher[of_teacher.region.isin(_TEACHER_REGIONS)].to_dict("records")
            if pd.notna(row["diff"]) and not row["ci_low"] > 0
        ]
        if of != ALL and regions:
            sentences.append(
                f"Warning: the {name} is not significantly better than the baseline on {of} in "
                f"{_listed(regions)}. Distillation has no lead to transfer there."
            )
    return sentences + _incomplete(rows)


def short_findings(rows: pd.DataFrame) -> list[str]:
    """Sentences of the short form: comparison with the fixed mask, and which runs are missing.

    Args:
        rows: of one modality or several, see `report_rows`.
    """
    sentences = []
    for row in rows[rows.fixed_mask.notna()].to_dict("records"):
        word = "above" if row["mean_low"] > row["fixed_mask"] else "not above"
        bounds = f"{100 * row['mean']:.1f} [{100 * row['mean_low']:.1f}, {100 * row['mean_high']:.1f}]"
        sentences.append(
            f"The mean Dice of {row['arm']} on {row['modality']} is {bounds} %. The lower bound is {word} the "
            f"{100 * row['fixed_mask']:.1f} % of the best fixed mask on the same {row['n_fixed_mask']} subjects."
        )
    return sentences + missing(rows)


def missing(rows: pd.DataFrame) -> list[str]:
    """Teachers, baselines and students that a comparison lacks."""
    networks = rows[(rows.role != "fixed_mask") & (rows.modality != ALL)]
    roles = {role: set(part.modality) for role, part in networks.groupby("role")}
    baselines, students = roles.get("baseline", set()), roles.get("student", set())
    sentences = []
    if "teacher" not in roles:
        sentences.append("Missing: the teacher, which the closed gap needs (make teacher).")
    for modality in sorted(students - baselines):
        sentences.append(
            f"Missing: the baseline on {modality}, which a difference needs (make baseline MODALITY={modality})."
        )
    for modality in sorted(baselines - students):
        sentences.append(f"Missing: a student on {modality} (make student MODALITY={modality}).")
    if not baselines and not students:
        sentences.append("Missing: baseline and student (make baseline, make student).")
    compared = networks[(networks.role == "student") & (networks.metric == "dice") & (networks.region == "mean")]
    for row in compared.to_dict("records"):
        if "teacher" in roles and pd.notna(row["diff"]) and pd.isna(row["teacher_diff"]):
            sentences.append(f"Missing: the teacher of {row['arm']} on {row['modality']}, which the closed gap needs.")
    # `make baseline` alone would train on the phantom
    return [*sentences, _MISSING_NOTE] if any("(make " in sentence for sentence in sentences) else sentences


def label_efficiency_findings(rows: pd.DataFrame) -> list[str]:
    """How many labelled subjects each student needs that was tried with fewer, and what is not counted.

    Args:
        rows: see `label_efficiency`.
    """
    sentences = []
    for _, of_arm in rows[rows.role == "student"].groupby(["family", "arm"], sort=False):
        arm, known = of_arm.arm.iloc[0], of_arm[of_arm.n_labelled.notna()]
        fewer = known[tried_on_fewer(known)]
        for modality, of_modality in fewer.groupby("modality", sort=False):
            if modality == ALL or ALL not in set(fewer.modality):
                modalities = sorted(set(fewer.modality) - {ALL}, key=order)
                where = f"over {_listed(modalities)}" if modality == ALL else f"on {modality}"
                sentences.append(_needed(f"{arm} {where}", of_modality))
        unknown = of_arm[of_arm.n_labelled.isna() & (of_arm.modality != ALL)]
        if len(unknown):
            numbers, modalities = (list(map(str, unknown[name].unique())) for name in ("n_subjects", "modality"))
            sentences.append(
                f"Left out: {arm} on {_listed(modalities)} with N_SUBJECTS={','.join(numbers)}. The run of its teacher "
                "is not in this folder, so its number of labelled subjects is unknown."
            )
    if len(rows):
        counts = dict.fromkeys(f"{n:.0f}" for n in (rows.n_val.min(), rows.n_val.max()) if pd.notna(n))
        number = " to ".join(counts) or "unrecorded number of"
        sentences.append(
            f"Labelled subjects exclude the {number} validation subjects of each run. Their references choose its "
            "epoch and its thresholds."
        )
    return sentences


def tried_on_fewer(rows: pd.DataFrame) -> pd.Series:
    """Rows of arms and modalities that were tried with another number of subjects than the full baseline's."""
    other = rows.n_subjects.map(str) != rows.against.map(str)
    return other.groupby([rows.arm, rows.modality]).transform("any")


def target(rows: pd.DataFrame) -> str:
    """The baseline that label efficiency compares with."""
    # a fold that an arm lacks does not count in its row
    row = rows.sort_values("n_paired").iloc[-1]
    return f"the baseline with {'all ' if row['against'] == EVERY else ''}{row['n_full']:.0f}"


def selection_findings(ranked: pd.DataFrame, gains: pd.DataFrame) -> list[str]:
    """The first method, and the runs that do not count because another method lacks them.

    Args:
        ranked: see `rank`.
        gains: see `validation_gains`, of the same comparable runs.
    """
    counts = gains.groupby("arm", sort=False).size()
    if ranked.empty:
        of_each = _listed([f"{arm} has {n}" for arm, n in counts.items()])
        return [f"No modality, fold and seed is shared by all methods: {of_each} runs. Name fewer methods (METHODS)."]
    more = counts - int(ranked.n.iloc[0])
    sentences = []
    if more.any():
        units = {
            str(arm): {tuple(unit) for unit in of_arm[["modality", "fold", "seed"]].to_numpy()}
            for arm, of_arm in gains.groupby("arm", sort=False)
        }
        fewest = min(units, key=lambda arm: len(units[arm]))
        without = sorted(set.union(*units.values()) - units[fewest])
        lacking = _listed([f"{modality} fold {fold} seed {seed}" for modality, fold, seed in without])
        sentences.append(
            f"{more.sum()} runs of {_listed(list(more[more > 0].index))} do not count: {fewest} lacks {lacking}. Name "
            "fewer methods (METHODS) to count them."
        )
    first = f"First: {ranked.index[0]}."
    if ranked["all"].iloc[0] <= 0:
        first += " No method is ahead of the baseline: there is none to choose."
    return [*sentences, first]


def interval(row: Row, scale: float, decimals: int, sign: str = "+") -> str:
    """Difference and bounds; empty where there is none. With ``sign`` ``-`` only negative bounds bear a sign."""
    if pd.isna(row["diff"]):
        return ""
    difference, low, high = (scale * row[name] for name in ("diff", "ci_low", "ci_high"))
    if pd.isna(low):
        return f"{difference:+.{decimals}f}"
    return f"{difference:+.{decimals}f} [{low:{sign}.{decimals}f}, {high:{sign}.{decimals}f}]"


def all_first(rows: pd.DataFrame) -> list[str]:
    """The modalities of these rows, ``all`` before the others."""
    modalities = set(rows[rows.role != "fixed_mask"].modality)
    return [ALL] * (ALL in modalities) + sorted(modalities - {ALL}, key=order)


def _difference(row: Row) -> str:
    better = row["ci_low"] > 0
    text = (
        f"{row['arm']} {_where(row)}: {'better' if better else 'worse'} than the baseline in the primary endpoint, "
        f"{interval(row, 100, 1)} Dice points."
    )
    if row["p_holm"] >= 0.05:
        text += f" After Holm's correction over the methods p is {row['p_holm']:.3f}: not significant."
    return text


def _where(row: Row) -> str:
    return f"over {_listed(row['over'].split())}" if row["modality"] == ALL else f"on {row['modality']}"


def _incomplete(rows: pd.DataFrame) -> list[str]:
    sentences = []
    for modality in dict.fromkeys(rows[rows.role != "fixed_mask"].modality):
        roles = set(rows[rows.modality == modality].role)
        if modality != ALL and "baseline" not in roles:
            sentences.append(f"Missing: the baseline on {modality}, which a difference needs.")
        if modality != ALL and "teacher" not in roles:
            sentences.append(f"Missing: an evaluated teacher on {modality}, which the closed gap needs.")
    endpoints = rows[(rows.region == ENDPOINT) & (rows.metric == "dice")]
    together = endpoints[endpoints.modality == ALL]
    if together.over.nunique() > 1:
        most = widest(together)
        others = [
            f"{row['arm']} ({', '.join(row['over'].split())})"
            for row in together.to_dict("records")
            if row["over"] != most
        ]
        sentences.append(f"These arms have fewer modalities: {_listed(others)}. Compare them by modality.")
    for modality in dict.fromkeys(endpoints[endpoints.modality != ALL].modality):
        of_modality = endpoints[endpoints.modality == modality]
        runs: dict[str, set[str]] = {row["arm"]: set(row["runs"].split()) for row in of_modality.to_dict("records")}
        every = set().union(*runs.values())
        lacking = [
            f"{arm} lacks " + ", ".join(f"fold {run.replace('/', ' seed ')}" for run in sorted(every - has))
            for arm, has in runs.items()
            if every - has
        ]
        if lacking:
            sentences.append(f"Unfinished on {modality}: {'; '.join(lacking)}. Only shared subjects are compared.")
    tuned = rows[rows.metric == "tuned_dice"]
    for arm, of_arm in rows[rows.role != "fixed_mask"].groupby("arm", sort=False):
        without = sorted(set(of_arm.modality) - set(tuned[tuned.arm == arm].modality))
        if without:
            sentences.append(
                f"{arm} ({', '.join(without)}) has no calibration and no tuned thresholds. Evaluate it again (make "
                "evaluate FORCE=1)."
            )
    return sentences


def _needed(arm: str, points: pd.DataFrame) -> str:
    matching = points[points["diff"] >= 0].sort_values(["n_labelled", "n_train"])
    if matching.empty:
        tried = [_count(row) for row in points.sort_values(["n_labelled", "n_train"]).to_dict("records")]
        best = points.sort_values("diff").iloc[-1].to_dict()
        return (
            f"{arm} does not match {target(points)} labelled subjects with {_listed(tried)}. The nearest is "
            f"{_count(best)}, {interval(best, 100, 1)} Dice points."
        )
    row = matching.iloc[0].to_dict()
    text = (
        f"{arm} with {_count(row)} labelled subjects matches {target(matching.head(1))}, {interval(row, 100, 1)} Dice "
        "points."
    )
    if row["n_labelled"] >= row["n_full"]:
        text += " It saves no labels."
    return text + (" The difference is not significant; equality is not proven." if contains_zero(row) else "")


def _count(row: Row) -> str:
    seen = (
        f" ({row['n_train']:.0f} of its own, the others of its teacher)" if row["n_train"] < row["n_labelled"] else ""
    )
    return f"{row['n_labelled']:.0f}{seen}"


def _listed(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _joined(values: Iterable[Any]) -> str:
    return ", ".join(sorted(str(value) for value in values if value is not None))


def _spacing(value: Any) -> str | None:
    sides = value if isinstance(value, list) else [value]
    return None if None in sides else " x ".join(f"{side:g}" for side in dict.fromkeys(sides))
