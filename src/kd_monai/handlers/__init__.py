"""What happens at an engine's event: seeds, checkpoints, the teacher, pictures, scores; a class each, attached by YAML.

A handler is what (`__init__`), when (`attach`) and do (`__call__`). Nothing here reads a configuration, a data set's
folder or a run's record; scoring reads the references that it is given.
"""

from kd_monai.handlers.case_scores import CaseScoresHandler, ThresholdHandler
from kd_monai.handlers.checkpoint import (
    BestModelHandler,
    NaNLossError,
    RaiseOnNaN,
    ResumeHandler,
    file_digest,
    save_atomically,
)
from kd_monai.handlers.display import OverlayHandler, ProgressHandler
from kd_monai.handlers.epochs import EpochSeedHandler, ScheduleMetric, validation_interval
from kd_monai.handlers.teacher import PrepareBatch, TeacherHandler, select_channels

__all__ = [
    "BestModelHandler",
    "CaseScoresHandler",
    "EpochSeedHandler",
    "NaNLossError",
    "OverlayHandler",
    "PrepareBatch",
    "ProgressHandler",
    "RaiseOnNaN",
    "ResumeHandler",
    "ScheduleMetric",
    "TeacherHandler",
    "ThresholdHandler",
    "file_digest",
    "save_atomically",
    "select_channels",
    "validation_interval",
]
