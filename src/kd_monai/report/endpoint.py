"""The primary endpoint of an arm over its modalities, and its difference to the baselines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kd_monai.metrics import ENDPOINT_REGIONS, endpoint, endpoint_interval, paired_test, subject_endpoints
from kd_monai.report.arms import Arm, Comparison
from kd_monai.report.pooled import PooledRuns

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Endpoint:
    """The endpoint of a network.

    Attributes:
        mean: on all its subjects.
        std: of the subjects' own values.
        n, n_empty: subjects, and how many of them have no ET.
        comparison: with the baselines, on the subjects that all modalities of both have; None without baselines.
    """

    mean: float
    std: float
    n: int
    n_empty: int
    comparison: Comparison | None = None


def arms_endpoint(arms: Sequence[Arm], metric: str = "dice") -> Endpoint | None:
    """The endpoint of one network over modalities.

    Args:
        arms: one per modality.
        metric: ``dice``, or ``tuned_dice``.

    Returns:
        None where the modalities share no subject, or an evaluation lacks the metric.
    """
    (values,) = endpoint_values([[arm.pooled for arm in arms]], metric)
    if not len(values) or np.isnan(endpoint(values)):
        return None
    deviation = float(np.std(subject_endpoints(values), ddof=1)) if len(values) > 1 else float("nan")
    alone = Endpoint(endpoint(values), deviation, len(values), int(np.isnan(values[:, 0, -1]).sum()))
    baselines = [arm.baseline for arm in arms if arm.baseline is not None]
    if len(baselines) < len(arms):
        return alone
    values, base = endpoint_values([[arm.pooled for arm in arms], baselines], metric)
    if not len(values) or np.isnan(endpoint(values - base)):
        return alone
    test = paired_test(subject_endpoints(values), subject_endpoints(base))
    comparison = Comparison(endpoint_interval(values - base), test)
    teachers = [arm.teacher for arm in arms if arm.teacher is not None]
    if len(teachers) == len(arms):
        values, base, best = endpoint_values([[arm.pooled for arm in arms], baselines, teachers], metric)
        if len(values) and not np.isnan(endpoint(best - base)):
            lead = endpoint_interval(best - base)
            gap = endpoint(values - base) / lead.estimate if lead.low > 0 else None
            comparison = replace(comparison, teacher_diff=lead, gap=gap)
    return replace(alone, comparison=comparison)


def differences_by_seed(arms: Sequence[Arm], metric: str = "dice") -> dict[str, float]:
    """Seed -> the endpoint's paired difference to the baselines in the runs with that seed; empty below two seeds.

    An interval over subjects does not show how far trainings of one network differ. A seed that lacks some of the
    subjects, or the metric, is left out.

    Args:
        arms: one per modality.
        metric: ``dice``, or ``tuned_dice``.
    """
    pairs = [[arm.pooled for arm in arms], [arm.baseline for arm in arms if arm.baseline is not None]]
    if len(pairs[1]) < len(arms):
        return {}
    seeds = set.intersection(*(set(pooled.seeds) for networks in pairs for pooled in networks))
    if len(seeds) < 2:
        return {}
    differences = {}
    n = len(endpoint_values(pairs, metric)[0])
    for seed in sorted(seeds):
        values, base = endpoint_values([[pooled.by_seed[seed] for pooled in networks] for networks in pairs], metric)
        if len(values) == n and not np.isnan(difference := endpoint(values - base)):
            differences[str(seed)] = difference
    return differences if len(differences) > 1 else {}


def endpoint_values(networks: Sequence[Sequence[PooledRuns]], metric: str = "dice") -> list[Values]:
    """For each network ``n M 3`` values (see `endpoint`) of the subjects that all networks have in all modalities.

    Args:
        networks: the pooled runs of each, one per modality, in the same order.
        metric: ``dice``, or ``tuned_dice``.
    """
    tables = [endpoint_table(pooled, metric) for of_network in networks for pooled in of_network]
    joined = pd.concat(tables, axis=1, join="inner").sort_index()
    shape = (len(joined), len(networks), len(networks[0]), len(ENDPOINT_REGIONS))
    values = joined.to_numpy(dtype=float).reshape(shape)
    return [values[:, i] for i in range(len(networks))]


def endpoint_table(pooled: PooledRuns, metric: str = "dice") -> pd.DataFrame:
    """A row per subject, a column for each of `ENDPOINT_REGIONS`."""
    return pd.concat([pooled.values(metric, region).rename(region) for region in ENDPOINT_REGIONS], axis=1)
