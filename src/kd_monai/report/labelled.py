"""How many labelled subjects a run has cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kd_monai.runs.read import EvaluatedRun


def n_labelled(run: EvaluatedRun, records: Mapping[str, Mapping[str, Any]]) -> float:
    """Labelled training subjects that a run and its teachers saw together; the validation part is not counted.

    Training subjects of one fold and split are nested, so it is the largest number that any of them has. References
    that `UNLABELLED` withholds were seen by none of them.

    Args:
        run: a baseline or student.
        records: ``run.json`` by run key, of those that may have taught it.

    Returns:
        NaN where one of them does not say, or a teacher of the run's own fold and split is not among the records.
    """
    teachers = [records.get(key, {}) for key in run.teacher_keys]
    if run.record["role"] == "student" and not teachers:
        return float("nan")
    if any(teacher.get(key) != run.record[key] for teacher in teachers for key in ("split_digest", "fold")):
        return float("nan")
    counts = [record.get("n_train") for record in (run.record, *teachers)]
    return float(np.max(np.array(counts, dtype=float)))  # of None NaN
