"""What runs the cells of a study."""

from __future__ import annotations

from pathlib import Path

from kd_monai.grid.cluster import DEFAULTS, Jobs
from kd_monai.grid.gpu_room import GpuRoom, visible_gpus
from kd_monai.grid.grid import Grid
from kd_monai.grid.workers import Workers, threads_each


def make_runner(grid: Grid) -> Workers | Jobs:
    """Processes of this machine, or jobs, as the study's SCHEDULER says.

    Raises:
        ValueError: there is no such scheduler here.
    """
    if grid.scheduler == "local":
        return Workers(grid.jobs, visible_gpus(grid.given.device), GpuRoom())
    folder = Path(grid.given.out) / "logs" / "jobs"
    if grid.scheduler == "slurm":
        threads = int({**DEFAULTS, **grid.cluster}["cpus_per_task"])
        return Jobs(grid.jobs, folder, "slurm", grid.cluster, threads)
    return Jobs(grid.jobs, folder, "local", grid.cluster, threads_each(grid.jobs))
