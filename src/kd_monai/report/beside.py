"""What a folder of runs has to compare some of them with."""

from __future__ import annotations

from collections.abc import Sequence

from kd_monai.report.comparable import group_key
from kd_monai.runs.read import EvaluatedRun, without_superseded

NETWORKS = {"teacher", "baseline", "student"}


def beside(own: Sequence[EvaluatedRun]) -> list[EvaluatedRun]:
    """Scored runs in the folder of the last of these, of the roles that these do not have.

    They share its study, setting, fold and seed and, but for a teacher, its modality. Where there is a student, the
    teachers are those that taught it, whatever their own setting.

    Args:
        own: at least one run.
    """
    last = own[-1]
    wanted = NETWORKS - {run.record["role"] for run in own}
    files = sorted(last.folder.parent.glob(f"*-fold{last.record['fold']}-*/cases.csv"))
    others = [EvaluatedRun.read(file.parent) for file in files if (file.parent / "run.json").is_file()]
    others, _ = without_superseded(others)
    others = [run for run in others if run.record["role"] in wanted]
    alike = [run for run in others if _alike(run, last)]
    students = [run for run in [*own, *alike] if run.record["role"] == "student"]
    if not students:
        return alike
    taught_by = {key for run in students for key in run.teacher_keys}
    teachers = [run for run in others if run.record["role"] == "teacher" and run.record.get("run_key") in taught_by]
    return [*teachers, *(run for run in alike if run.record["role"] != "teacher")]


def _alike(run: EvaluatedRun, other: EvaluatedRun) -> bool:
    names = ["fold", "seed"]
    if "teacher" not in (run.record["role"], other.record["role"]):
        names.append("modality")
    same = all(run.record[name] == other.record[name] for name in names)
    return same and group_key(run) == group_key(other)
