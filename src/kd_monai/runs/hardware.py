"""What a run was trained on."""

from __future__ import annotations

import platform
import re
from pathlib import Path


def cpu_name() -> str:
    """As its maker calls it, where the system knows."""
    cpuinfo = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", cpuinfo.read_text()) if cpuinfo.is_file() else None
    return found.group(1).strip() if found else platform.processor() or platform.machine()
