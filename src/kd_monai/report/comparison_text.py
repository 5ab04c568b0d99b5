"""The comparison as a terminal shows it, at most 100 columns wide."""

from __future__ import annotations

from collections.abc import Sequence

from kd_monai.metrics import LOWER_IS_BETTER, Interval, case_values, mean_interval
from kd_monai.report.comparable import Group
from kd_monai.report.paired import Contrast, baseline_of, contrast, teacher_of
from kd_monai.report.pooled import Pool
from kd_monai.report.scores_text import DECIMALS, NAMES, SHOWN, TITLES, scores_text, wrap

ALIKE = "Train it with the variables of these runs: the same DATA, OUT, FOLD, SEED, EPOCHS, N_SUBJECTS, SET and so on."


def comparison_text(group: Group, pools: Sequence[Pool]) -> str:
    """Scores of these pools of a group, every student against its baseline and the fixed mask, and what is missing."""
    facts = group.facts
    digests = f"data {group.data}, split {str(facts['split_digest'])[:8]}"
    heading = f"Comparison: {digests}, labels {facts['labels']}, recipe {facts['recipe']}"
    if facts["n_subjects"] is not None:
        heading += f", {facts['n_subjects']} training subjects"
    settings = [f"Setting {facts['setting']}: {group.differs}"] if group.differs else []
    settings += [f"{pool.title}: {pool.differs}" for pool in pools if pool.differs]
    students = [pool for pool in pools if pool.role == "student"]
    blocks = ["\n".join(map(wrap, [heading, *settings])) + "\n" + scores_text(pools)]
    blocks += [_differences(student, pools) for student in students]
    blocks += ["\n".join(filter(None, (_against_fixed_mask(student, pools) for student in students)))]
    blocks += ["\n".join(map(wrap, _missing(pools)))]
    return "\n\n".join(block for block in blocks if block)


def _differences(student: Pool, pools: Sequence[Pool]) -> str:
    baseline, teacher = baseline_of(student, pools), teacher_of(student, pools)
    if baseline is None:
        return ""
    lines, undefined, unclear = [], False, False
    for metric, region in ((name, region) for name in ("dice", "hd95") for region in SHOWN[name]):
        found = contrast(student, baseline, teacher, metric, region)
        if found is not None:
            lines.append(_difference_line(metric, region, found))
            undefined |= found.gap_text == "undefined"
            unclear |= found.diff.contains_zero
    n = len(set(student.cases.subject) & set(baseline.cases.subject))
    title = f"{student.title} against {baseline.title}: paired on {n} subjects, 95 % bootstrap interval"
    if not lines:
        return wrap(title)
    notes = []
    if unclear:
        notes.append("not shown: the interval contains zero, so these subjects show no difference.")
    if undefined:
        notes.append("undefined: these subjects do not show the teacher to be better than the baseline.")
    head = f"{'':<20}{'student − baseline':>25}{'teacher − baseline':>25}{'gap closed':>11}"
    return "\n".join([wrap(title), head, *lines, *map(wrap, notes)])


def _difference_line(metric: str, region: str, found: Contrast) -> str:
    own, teacher = (_interval(value, DECIMALS[metric]) for value in (found.diff, found.teacher_diff))
    gap = found.gap_text if found.gap is None else f"{found.gap:.2f}"
    name = f"{NAMES[metric]} {TITLES.get(region, region)}"
    return f"{name:<20}{own:>25}{teacher:>25}{gap:>11}  {_verdict(metric, found.diff)}"


def _verdict(metric: str, diff: Interval) -> str:
    if diff.n < 2:
        return "too few cases"
    if diff.contains_zero:
        return "not shown"
    return "better" if (diff.estimate > 0) == (metric not in LOWER_IS_BETTER) else "worse"


def _against_fixed_mask(student: Pool, pools: Sequence[Pool]) -> str:
    mask = next((pool for pool in pools if pool.role == "fixed_mask"), None)
    if mask is None:
        return ""
    own, fixed = (case_values(pool.cases, "dice", "mean") for pool in (student, mask))
    shared = own.index.intersection(fixed.index)
    if not len(shared):
        return ""
    interval, best = mean_interval(own[shared]), float(fixed[shared].mean())
    word = "above" if interval.low > best else "NOT above"
    return wrap(
        f"{student.title}: mean Dice {interval.estimate:.3f} [{interval.low:.3f}, {interval.high:.3f}]; the lower "
        f"bound is {word} the {best:.3f} of the best fixed mask (thresholded mean map of the training labels) on the "
        f"same {len(shared)} subjects."
    )


def _missing(pools: Sequence[Pool]) -> list[str]:
    found = {
        role: {pool.modality for pool in pools if pool.role == role} for role in ("teacher", "baseline", "student")
    }
    lines = [] if found["teacher"] else ["Missing: an evaluated teacher, so no closed gap is given (make teacher)."]
    for modality in sorted(found["student"] - found["baseline"]):
        lines.append(
            f"Missing: the baseline on {modality}, so no difference is given (make baseline MODALITY={modality})."
        )
    for modality in sorted(found["baseline"] - found["student"]):
        lines.append(f"Missing: a student on {modality} (make student MODALITY={modality}).")
    if not found["baseline"] and not found["student"]:
        lines.append("Missing: baseline and student (make baseline, make student).")
    if found["teacher"]:
        lines += [
            f"Missing: the teacher that taught {pool.title}, so no closed gap is given."
            for pool in pools
            if pool.role == "student" and teacher_of(pool, pools) is None
        ]
    # `make baseline` alone would train on the phantom
    return [*lines, ALIKE] if any("(make " in line for line in lines) else lines


def _interval(interval: Interval | None, decimals: int) -> str:
    if interval is None:
        return ""
    if interval.n < 2:
        return f"{interval.estimate:+.{decimals}f}"
    return f"{interval.estimate:+.{decimals}f} [{interval.low:+.{decimals}f}, {interval.high:+.{decimals}f}]"
