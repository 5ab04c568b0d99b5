"""A run's folder: which run it is, its lock and state, what it tells its tracker, and reading and packing it again.

Never trains, never builds a network and knows no teacher but as a key with a digest.
"""

from kd_monai.runs.folder import RunFolder
from kd_monai.runs.identity import run_tracker

__all__ = ["RunFolder", "run_tracker"]
