"""How busy a GPU is while something runs."""

from __future__ import annotations

import statistics
import subprocess
import threading

QUERY = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "--id=0"]


class Utilisation:
    """Per cent of the time in which a kernel was running, as nvidia-smi says it, sampled within a ``with`` block.

    Args:
        every_s: seconds between samples.

    Attributes:
        samples: per cent.

    Raises:
        FileNotFoundError: there is no nvidia-smi.
    """

    def __init__(self, every_s: float = 0.2) -> None:
        self.samples: list[float] = []
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

    @property
    def median(self) -> float:
        """Of all samples, per cent."""
        return statistics.median(self.samples)

    def _sample(self) -> None:
        while not self._stop.wait(self._every_s):
            self._ask()

    def _ask(self) -> None:
        self.samples.append(float(subprocess.run(QUERY, capture_output=True, text=True, check=True).stdout))
