"""What a run tells MLflow: written to the run's own journal first, sent from a thread that training never waits for."""

from kd_monai.tracking.handlers import TrackingHandler, ValidationTrackingHandler
from kd_monai.tracking.server import serve
from kd_monai.tracking.store import tracking_uri
from kd_monai.tracking.tracker import Tracker, TrackingError

__all__ = ["Tracker", "TrackingError", "TrackingHandler", "ValidationTrackingHandler", "serve", "tracking_uri"]
