"""What a run tells MLflow: written to the run's own journal first, sent from a thread that training never waits for.

The only importer of MLflow. Never decides what a run is, and never ends or delays a training.
"""

from kd_monai.tracking.handlers import TrackingHandler, ValidationTrackingHandler
from kd_monai.tracking.journal import add_durations, read_durations
from kd_monai.tracking.server import serve
from kd_monai.tracking.tracker import Tracker, tracking_uri

__all__ = [
    "Tracker",
    "TrackingHandler",
    "ValidationTrackingHandler",
    "add_durations",
    "read_durations",
    "serve",
    "tracking_uri",
]
