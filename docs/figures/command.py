"""Verbs of kd_monai, as a reader types them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def kd_monai(verb: str, **variables: str | Path | int) -> str:
    """Run ``python -m kd_monai VERB NAME=value ...`` and give back what it prints.

    Raises:
        subprocess.CalledProcessError: the verb failed; what it said stands on this process's error stream.
    """
    line = [sys.executable, "-m", "kd_monai", verb, *(f"{name}={value}" for name, value in variables.items())]
    return subprocess.run(line, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
