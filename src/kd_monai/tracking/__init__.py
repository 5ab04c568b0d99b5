"""What a run tells MLflow: written to the run's own journal first, sent from a thread that training never waits for."""

from kd_monai.tracking.durations import add_durations, read_durations
from kd_monai.tracking.handlers import TrackingHandler, ValidationTrackingHandler
from kd_monai.tracking.server import serve
from kd_monai.tracking.tracker import Tracker, TrackingError
from kd_monai.tracking.uri import tracking_uri

__all__ = [
    "Tracker",
    "TrackingError",
    "TrackingHandler",
    "ValidationTrackingHandler",
    "add_durations",
    "read_durations",
    "serve",
    "tracking_uri",
]
