"""How much memory a training needs at most."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import torch

_CLEAR, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
_MIB = 2**20


class PeakMemory:
    """Largest memory since `restart`, in MiB: allocated by torch on a GPU, else resident in this process.

    Linux can forget the highest mark of a process; elsewhere it is that of the process's whole life. Resident memory
    includes what the process held before, such as an earlier training of a study's worker.

    Args:
        device: where the network runs.
    """

    def __init__(self, device: torch.device | str) -> None:
        self.device = torch.device(device)

    def restart(self) -> None:
        """Forget what was."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            return
        try:
            _CLEAR.write_text("5")
        except OSError:
            return

    @property
    def mib(self) -> float:
        """The largest so far."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / _MIB
        if _STATUS.is_file():
            for line in _STATUS.read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) / 1024
        # kilobytes, on macOS bytes
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (_MIB if sys.platform == "darwin" else 1024)
