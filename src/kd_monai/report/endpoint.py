"""The primary endpoint of one network over its modalities, against that of the baselines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kd_monai.metrics import (
    ENDPOINT_REGIONS,
    Interval,
    PairedTest,
    endpoint,
    endpoint_interval,
    paired_test,
    subject_endpoints,
)
from kd_monai.report.arms import Arm
from kd_monai.report.pooled import Pool

Values = NDArray[np.float64]


@dataclass(frozen=True)
class EndpointContrast:
    """The endpoint of a network and, where there are baselines, its difference to theirs.

    Attributes:
        mean: the endpoint, on all its own subjects.
        std: of the subjects' own values.
        n, n_empty: subjects, and how many of them have no ET.
        diff: the paired difference to the baselines, on the subjects that all modalities of both have.
        test: on the same subjects, of `subject_endpoints`.
        teacher_diff: teacher minus baselines on the subjects of all three; None without a teacher.
        gap: share of it that is closed; None where the interval of `teacher_diff` is not above zero.
    """

    mean: float
    std: float
    n: int
    n_empty: int
    diff: Interval | None = None
    test: PairedTest | None = None
    teacher_diff: Interval | None = None
    gap: float | None = None


def endpoint_contrast(arms: Sequence[Arm], metric: str = "dice") -> EndpointContrast | None:
    """Compare one network over modalities.

    Args:
        arms: one per modality.
        metric: ``dice``, or ``tuned_dice``.

    Returns:
        None where they share no subject, or an evaluation lacks the metric.
    """
    (own,) = endpoint_values([[arm.pool for arm in arms]], metric)
    if not len(own) or np.isnan(endpoint(own)):
        return None
    deviation = float(np.std(subject_endpoints(own), ddof=1)) if len(own) > 1 else float("nan")
    alone = EndpointContrast(endpoint(own), deviation, len(own), int(np.isnan(own[:, 0, -1]).sum()))
    baselines = [arm.baseline for arm in arms if arm.baseline is not None]
    if len(baselines) < len(arms):
        return alone
    pair = endpoint_values([[arm.pool for arm in arms], baselines], metric)
    if not len(pair[0]) or np.isnan(endpoint(pair[0] - pair[1])):
        return alone
    test = paired_test(subject_endpoints(pair[0]), subject_endpoints(pair[1]))
    found = replace(alone, diff=endpoint_interval(pair[0] - pair[1]), test=test)
    teachers = [arm.teacher for arm in arms if arm.teacher is not None]
    if len(teachers) < len(arms):
        return found
    student, base, best = endpoint_values([[arm.pool for arm in arms], baselines, teachers], metric)
    if not len(student) or np.isnan(endpoint(best - base)):
        return found
    lead = endpoint_interval(best - base)
    gap = endpoint(student - base) / lead.estimate if lead.low > 0 else None
    return replace(found, teacher_diff=lead, gap=gap)


def differences_by_seed(arms: Sequence[Arm], metric: str = "dice") -> dict[str, float]:
    """Seed -> the endpoint's paired difference to the baselines in that seed's runs alone; empty with less than two.

    An interval over subjects does not say what another training of the same network would have given. A seed that lacks
    some of the subjects, or a metric, is left out.

    Args:
        arms: one per modality.
        metric: ``dice``, or ``tuned_dice``.
    """
    pairs = [[arm.pool for arm in arms], [arm.baseline for arm in arms if arm.baseline is not None]]
    if len(pairs[1]) < len(arms):
        return {}
    seeds = set.intersection(*(set(pool.seeds) for pools in pairs for pool in pools))
    if len(seeds) < 2:
        return {}
    found = {}
    everyone = len(endpoint_values(pairs, metric)[0])
    for seed in sorted(seeds):
        own, base = endpoint_values([[pool.by_seed[seed] for pool in pools] for pools in pairs], metric)
        if len(own) == everyone and not np.isnan(difference := endpoint(own - base)):
            found[str(seed)] = difference
    return found if len(found) > 1 else {}


def endpoint_values(networks: Sequence[Sequence[Pool]], metric: str = "dice") -> list[Values]:
    """For each network ``n M 3`` values (see `endpoint`) of the subjects that all networks have in all modalities.

    Args:
        networks: of each network a pool per modality, in the same order.
        metric: ``dice``, or ``tuned_dice``.
    """
    tables = [
        [pool.values(metric, region).rename(f"{i} {j} {region}") for region in ENDPOINT_REGIONS]
        for i, pools in enumerate(networks)
        for j, pool in enumerate(pools)
    ]
    joined = pd.concat([pd.concat(columns, axis=1) for columns in tables], axis=1, join="inner").sort_index()
    shape = (len(joined), len(networks), len(networks[0]), len(ENDPOINT_REGIONS))
    values = joined.to_numpy(dtype=float).reshape(shape)
    return [values[:, i] for i in range(len(networks))]
