"""Runs, alone and compared: what lies between a configuration and a finished folder.

What bundles name is imported when it is asked for: a worker or a job, which waits for its first command, starts without
MONAI, whose import takes three times as long as torch's.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kd_monai.study.crossfit import CrossFitted
    from kd_monai.study.initial import initial_network
    from kd_monai.study.run_folder import RunFolder
    from kd_monai.study.scored_run import ScoredRun
    from kd_monai.study.teacher import Teacher
    from kd_monai.study.teacher_labels import with_teacher_labels
    from kd_monai.study.teachers import Teachers, read_teacher
    from kd_monai.study.tracked_run import run_tracker

__all__ = [
    "CrossFitted",
    "RunFolder",
    "ScoredRun",
    "Teacher",
    "Teachers",
    "initial_network",
    "read_teacher",
    "run_tracker",
    "with_teacher_labels",
]

_HOMES = {
    "CrossFitted": "crossfit",
    "RunFolder": "run_folder",
    "ScoredRun": "scored_run",
    "Teacher": "teacher",
    "Teachers": "teachers",
    "initial_network": "initial",
    "read_teacher": "teachers",
    "run_tracker": "tracked_run",
    "with_teacher_labels": "teacher_labels",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
