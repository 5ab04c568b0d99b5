"""Runs, alone and compared: what lies between a configuration and a finished folder."""

from kd_monai.study.run_folder import RunFolder
from kd_monai.study.run_tracker import run_tracker
from kd_monai.study.scored_run import ScoredRun
from kd_monai.study.teacher import Teacher
from kd_monai.study.teachers import Teachers, read_teacher

__all__ = ["RunFolder", "ScoredRun", "Teacher", "Teachers", "read_teacher", "run_tracker"]
