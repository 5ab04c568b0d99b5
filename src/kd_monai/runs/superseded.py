"""Students whose teacher was trained anew, and who were then trained anew themselves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TypeVar

from kd_monai.runs.evaluated_run import TrainedRun
from kd_monai.runs.identity import run_key

_FACTS = ("data_digest", "split_digest", "labels", "precision", "unlabelled", "teacher_key")

Run = TypeVar("Run", bound=TrainedRun)


def without_superseded(runs: Sequence[Run]) -> tuple[list[Run], list[str]]:
    """The runs that count: of students that differ in the weights of one and the same teacher alone, the last one.

    A teacher that is trained anew (``FORCE=1``, or because a packed study has no weights) keeps its folder and key; its
    student gets a new key, for it learns from other weights, and the old one stays beside it.

    Returns:
        The runs, and a remark on each that is left out. Students whose journal does not say when they began all stay.
    """
    alike: dict[str, list[Run]] = {}
    for run in runs:
        if run.record["role"] == "student" and run.teacher_keys and _began(run) is not None:
            facts = {name: str(run.get(name)) for name in _FACTS} | {"processes": str(run.get("processes") or 1)}
            alike.setdefault(run_key(run.config, **facts), []).append(run)
    latest = {id(run): max(same, key=lambda run: _began(run) or 0) for same in alike.values() for run in same}
    remarks = [
        f"{run.folder.name} is left out: {latest[id(run)].folder.name} is the same training, later, with other weights "
        "of the same teacher."
        for run in runs
        if latest.get(id(run), run) is not run
    ]
    return [run for run in runs if latest.get(id(run), run) is run], remarks


def _began(run: TrainedRun) -> float | None:
    file = run.folder / "journal.jsonl"
    if not file.is_file():
        return None
    with file.open() as lines:
        line = lines.readline()
    try:
        time: float | None = json.loads(line).get("time")
    except ValueError:  # a killed process leaves half a line
        return None
    return time
