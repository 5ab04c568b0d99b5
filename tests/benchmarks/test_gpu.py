"""Sampling nvidia-smi, with a program of that name in its place."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from gpu import Utilisation, busy_percent

DEVICE = torch.device("cuda:1")


@pytest.fixture(autouse=True)
def _two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    uuids = {DEVICE: "5f1c-1", torch.device("cuda:0"): "5f1c-0"}
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid=uuids[device]))


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Says 40 and 80 in turn, and writes down how it was called."""
    program = tmp_path / "nvidia-smi"
    program.write_text(
        '#!/bin/sh\necho "$@" >> "$0.lines"\n[ $(( $(wc -l < "$0.lines") % 2 )) = 0 ] && echo 80 || echo 40\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return program


def test_a_figure_is_the_mean_of_all_samples_while_work_is_repeated(program: Path) -> None:
    calls: list[float] = []

    def work() -> None:
        calls.append(time.perf_counter())
        time.sleep(0.01)

    figure, count = busy_percent(DEVICE, work, seconds=0.4, every_s=0.01)
    assert count >= 2
    assert figure == pytest.approx(sum(([80, 40] * count)[:count]) / count)
    assert len(calls) > 2
    assert calls[-1] - calls[1] > 0.3  # the first one only warms up
    lines = Path(f"{program}.lines").read_text().splitlines()
    assert len(lines) == count + 1  # what the GPU did before is asked for and left out
    time.sleep(0.1)
    assert len(Path(f"{program}.lines").read_text().splitlines()) == len(lines)  # nobody goes on asking


def test_the_gpu_is_the_one_that_torch_uses(program: Path) -> None:
    with Utilisation(DEVICE):
        pass
    (line,) = Path(f"{program}.lines").read_text().splitlines()
    assert "--id=GPU-5f1c-1" in line.split()
    assert "utilization.gpu" in line


def test_a_machine_without_nvidia_smi_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError), Utilisation(DEVICE):
        pass
