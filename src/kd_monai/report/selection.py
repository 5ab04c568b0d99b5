"""Which method to take, by the validation parts of its runs: no test case is read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kd_monai.metrics import Interval, mean_interval
from kd_monai.report.comparable import group_key
from kd_monai.report.scores_text import wrap
from kd_monai.report.setting import differing, digest, setting_of, teachers_setting, values_of
from kd_monai.report.table import Table
from kd_monai.runs.read import TrainedRun, run_curve, without_superseded

Place = tuple[str, str, str]
"""Modality, fold and seed of a run."""


@dataclass(frozen=True)
class Candidate:
    """A method with one setting, on the validation parts of its runs.

    Attributes:
        name: method, with what its setting has of its own in brackets.
        gains: per run the mean Dice of its best epoch less that of the baseline of the same place, in points.
    """

    name: str
    gains: dict[Place, float]

    def over(self, places: Collection[Place]) -> Interval:
        """Mean gain over the modalities of these places, and its bootstrap interval over pairs of fold and seed."""
        units: dict[tuple[str, str], list[float]] = {}
        for modality, fold, seed in places:
            units.setdefault((fold, seed), []).append(self.gains[modality, fold, seed])
        return mean_interval([sum(values) / len(values) for values in units.values()])


def selection(out: str | Path, methods: Collection[str] = ()) -> str:
    """Methods of a folder of runs in the order of their gain on the validation parts.

    Each run is as good as its best epoch there, the one whose weights it keeps, and is held against the baseline of the
    same modality, fold and seed. Methods are ordered by the mean over the places that all of them have.

    Args:
        out: folder of run folders; ``run.json``, ``config.yaml`` and ``journal.jsonl`` of each are all that is read.
        methods: these alone, and not all that are there.

    Returns:
        Tables for a terminal, one for each group of runs that may be compared, and what they say.

    Raises:
        ValueError: no finished student has a finished baseline beside it, or a method has two runs of one place.
    """
    out = Path(out).expanduser()
    runs = [TrainedRun.read(file.parent) for file in sorted(out.glob("*/run.json"))]
    runs, remarks = without_superseded([run for run in runs if run.record.get("status") == "FINISHED"])
    teachers = {str(run.record.get("run_key")): run for run in runs if run.record["role"] == "teacher"}
    groups: dict[tuple[Any, ...], list[TrainedRun]] = {}
    for run in runs:
        if run.record["role"] in ("baseline", "student"):
            groups.setdefault(group_key(run), []).append(run)
    texts = []
    for members in groups.values():
        found = [own for own in _candidates(members, teachers) if not methods or own.name.split(" (")[0] in methods]
        if found:
            texts.append(_text(members[0], found))
    if not texts:
        of = f" of {', '.join(sorted(methods))}" if methods else ""
        raise ValueError(
            f"A choice needs finished students{of} with the baseline of their modality, fold and seed; {out} has none. "
            "Train them first (make study)."
        )
    return "\n\n".join([*texts, *map(wrap, remarks)])


def _candidates(members: Sequence[TrainedRun], teachers: Mapping[str, TrainedRun]) -> list[Candidate]:
    curves = [(run, run_curve(run.folder)) for run in members]
    best = [(run, float(curve.max())) for run, curve in curves if len(curve)]
    baselines = {_place(run): dice for run, dice in best if run.record["role"] == "baseline"}
    by_setting: dict[tuple[str, str], tuple[dict[str, Any], dict[Place, float]]] = {}
    for run, dice in best:
        if run.record["role"] == "baseline":
            continue
        # of one method, modalities and folds differ in these
        setting = {name: value for name, value in setting_of(run).items() if name not in ("modality", "teacher")}
        setting["teacher"] = teachers_setting(run, teachers)
        _, gains = by_setting.setdefault((run.record["method"], digest(setting)), (setting, {}))
        place = _place(run)
        if place in gains:
            raise ValueError(
                f"A method has one run per modality, fold and seed; {run.folder} is a second {run.record['method']} of "
                f"{', '.join(place)}, of another teacher perhaps. Move one of them out of the folder."
            )
        if place in baselines:
            gains[place] = 100 * (dice - baselines[place])
    found = []
    for method in dict.fromkeys(method for method, _ in by_setting):
        own = [value for (name, _), value in by_setting.items() if name == method]
        settings = [setting for setting, _ in own]
        names = differing(settings)
        plain = [values_of(setting, [name for name in names if name != "teacher"]) for setting in settings]
        # a teacher's digest says little: it is named where nothing else tells two apart
        differs_in = plain if len(set(plain)) == len(plain) else [values_of(setting, names) for setting in settings]
        found += [
            Candidate(method + (f" ({differs})" if differs else ""), gains)
            for differs, (_, gains) in zip(differs_in, own, strict=True)
            if gains
        ]
    return found


def _place(run: TrainedRun) -> Place:
    return run.record["modality"], str(run.record["fold"]), str(run.record["seed"])


def _text(run: TrainedRun, found: Sequence[Candidate]) -> str:
    shared = set.intersection(*(set(own.gains) for own in found))
    if not shared:
        lacking = ", ".join(f"{own.name} has {len(own.gains)}" for own in found)
        return wrap(f"No run's place (modality, fold, seed) is shared by all methods: {lacking}. Name some (METHODS).")
    modalities = sorted({modality for modality, _, _ in shared})
    ordered = sorted(found, key=lambda own: -own.over(shared).estimate)
    rows = []
    for own in ordered:
        mean = own.over(shared)
        by_modality = [own.over([place for place in shared if place[0] == name]).estimate for name in modalities]
        bounds = f"[{mean.low:+.1f}, {mean.high:+.1f}]" if mean.n > 1 else ""
        rows.append([own.name, f"{mean.estimate:+.1f}", bounds, *(f"{value:+.1f}" for value in by_modality)])
    n_val = run.get("n_val")
    facts = (
        f"Recipe {run.get('recipe')}, {len(shared)} run{'s' if len(shared) > 1 else ''} a method"
        f"{'' if n_val is None else f', {n_val} validation subjects in the first of them'}; 95 % bootstrap interval "
        "over pairs of fold and seed. It says how this choice came about, not what a method gains on patients."
    )
    table = Table(
        "Best mean Dice on the validation part, difference to the baseline in points; no test case was read",
        ["all", "95 %", *modalities],
        rows,
        [facts],
    )
    return "\n".join([table.text(), *map(wrap, [*_not_counted(ordered, shared), f"First: {ordered[0].name}."])])


def _not_counted(found: Sequence[Candidate], shared: Collection[Place]) -> list[str]:
    """In words, the runs that not all methods have, and who lacks most of them."""
    every = {place for own in found for place in own.gains}
    if every == set(shared):
        return []
    having = [own for own in found if set(own.gains) - set(shared)]
    fewest = min(found, key=lambda own: len(own.gains))
    lacking = every - set(fewest.gains)
    where = ", ".join(sorted({f"{modality} fold {fold} seed {seed}" for modality, fold, seed in lacking}))
    return [
        f"Not counted are {sum(len(set(own.gains) - set(shared)) for own in having)} more runs of "
        f"{', '.join(own.name for own in having)}: {fewest.name} has no like of {where}. Name others (METHODS) to "
        "count them."
    ]
