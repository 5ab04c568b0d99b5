"""Sampling nvidia-smi, with a program of that name in its place."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from gpu import Utilisation


def test_the_samples_of_the_block_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text('#!/bin/sh\necho "$@" > "$0.line"\necho 93\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with Utilisation(every_s=0.01) as utilisation:
        time.sleep(0.3)
    count = len(utilisation.samples)
    assert count >= 2
    assert utilisation.median == 93
    assert "utilization.gpu" in Path(f"{program}.line").read_text()
    time.sleep(0.1)
    assert len(utilisation.samples) == count  # nobody goes on asking


def test_a_machine_without_nvidia_smi_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError), Utilisation():
        pass
