"""Students whose teacher was trained anew, and who were then trained anew themselves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TypeVar

from kd_monai.study.config import run_key
from kd_monai.study.evaluated_run import TrainedRun

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
            facts = ("data_digest", "split_digest", "labels", "precision", "unlabelled", "teacher_key")
            alike.setdefault(run_key(run.config, **{name: str(run.get(name)) for name in facts}), []).append(run)
    gone: dict[int, str] = {}
    for same in alike.values():
        last = max(same, key=lambda run: _began(run) or 0)
        gone |= {
            id(
                run
            ): f"{run.folder.name} is left out: {last.folder.name} is the same training, later, after its teacher "
            "had been trained anew."
            for run in same
            if run is not last
        }
    return [run for run in runs if id(run) not in gone], list(gone.values())


def _began(run: TrainedRun) -> float | None:
    file = run.folder / "journal.jsonl"
    if not file.is_file():
        return None
    with file.open() as lines:
        line = lines.readline()
    time: float | None = json.loads(line).get("time") if line.endswith("\n") else None
    return time
