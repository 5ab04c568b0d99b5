"""Teacher, baseline and student of one command side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kd_monai.phases import phase
from kd_monai.report.beside import beside
from kd_monai.report.compare import compare
from kd_monai.runs.evaluated_run import EvaluatedRun

NOTHING = "Nothing to compare: no run has a test fold (FOLD=all)."


@phase("comparison")
def side_by_side(folders: Sequence[Path]) -> str:
    """The table of these runs, and of what their folder has to compare them with."""
    paths = [path for path in folders if (path / "cases.csv").is_file()]
    if not paths:
        return NOTHING
    own = [EvaluatedRun.read(path) for path in paths]
    comparison = compare(paths[-1].parent, runs=[run.folder for run in [*own, *beside(own)]])
    comparison.publish()
    return comparison.text
