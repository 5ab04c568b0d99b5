"""What happens at an engine's event."""

from kd_monai.handlers.best_model import BestModelHandler
from kd_monai.handlers.case_scores import CaseScoresHandler
from kd_monai.handlers.checkpoint import ResumeHandler, file_digest, save_atomically
from kd_monai.handlers.epoch_seed import EpochSeedHandler
from kd_monai.handlers.nan_stop import NaNLossError, RaiseOnNaN
from kd_monai.handlers.overlay import OverlayHandler
from kd_monai.handlers.prepare import PrepareBatch, select_channels
from kd_monai.handlers.progress import ProgressHandler
from kd_monai.handlers.schedule import ScheduleMetric, validation_interval
from kd_monai.handlers.teacher import FrozenTeacher, TeacherHandler
from kd_monai.handlers.terms import build_terms
from kd_monai.handlers.thresholds import ThresholdHandler

__all__ = [
    "BestModelHandler",
    "CaseScoresHandler",
    "EpochSeedHandler",
    "FrozenTeacher",
    "NaNLossError",
    "OverlayHandler",
    "PrepareBatch",
    "ProgressHandler",
    "RaiseOnNaN",
    "ResumeHandler",
    "ScheduleMetric",
    "TeacherHandler",
    "ThresholdHandler",
    "build_terms",
    "file_digest",
    "save_atomically",
    "select_channels",
    "validation_interval",
]
