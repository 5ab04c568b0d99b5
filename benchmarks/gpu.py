"""How busy a GPU is while something runs. Tested with a program in nvidia-smi's place, and run on an H200."""

from __future__ import annotations

import statistics
import subprocess
import threading
import time
from collections.abc import Callable

import torch

SECONDS = 10.0
"""Of work for one figure: nvidia-smi's own are means of up to a second, so that ten or so go into it."""
QUERY = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]


class Utilisation:
    """Per cent of the time in which a kernel was running, as nvidia-smi says it, sampled within a ``with`` block.

    Args:
        device: the GPU, as torch names it.
        every_s: seconds between samples.

    Attributes:
        samples: per cent.

    Raises:
        FileNotFoundError: there is no nvidia-smi.
        subprocess.CalledProcessError: it does not know the GPU.
        ValueError: it gives no number, as for a part of a GPU (MIG).
    """

    def __init__(self, device: torch.device, every_s: float = 0.5) -> None:
        self.samples: list[float] = []
        # its numbers are not torch's: CUDA_VISIBLE_DEVICES hides and reorders
        self._query = [*QUERY, f"--id=GPU-{torch.cuda.get_device_properties(device).uuid}"]
        self._every_s, self._stop = every_s, threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Utilisation:
        self._ask()
        self.samples.clear()  # what the GPU did before
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stop.wait(self._every_s):
            self._ask()

    def _ask(self) -> None:
        self.samples.append(float(subprocess.run(self._query, capture_output=True, text=True, check=True).stdout))


def busy_percent(
    device: torch.device, work: Callable[[], object], seconds: float = SECONDS, every_s: float = 0.5
) -> tuple[float, int]:
    """Mean utilisation in per cent, and of how many samples, while ``work`` is repeated.

    Args:
        device: the GPU, as torch names it.
        work: done once unsampled, which warms it up, then again and again until ``seconds`` have passed.
        seconds: to sample for, at least.
        every_s: seconds between samples.

    Raises:
        FileNotFoundError, subprocess.CalledProcessError, ValueError: as `Utilisation` does.
        statistics.StatisticsError: no sample was taken.
    """
    work()
    with Utilisation(device, every_s) as utilisation:
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            work()
    return statistics.fmean(utilisation.samples), len(utilisation.samples)
