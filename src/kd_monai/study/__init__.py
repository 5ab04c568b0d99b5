"""Runs, alone and compared: what lies between a configuration and a finished folder."""

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
