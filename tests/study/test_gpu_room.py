"""Whether a GPU takes one more cell; a script stands in for nvidia-smi."""

from __future__ import annotations

from pathlib import Path

import pytest

from kd_monai.study import gpu_room
from kd_monai.study.gpu_room import ASK_S, SETTLE_S, GpuRoom, visible_gpus
from kd_monai.study.workers import Workers, _Worker


@pytest.fixture
def smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file whose lines the stand-in prints."""
    program = tmp_path / "nvidia-smi"
    program.write_text(f'#!/bin/sh\ncat "{tmp_path}/lines"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return tmp_path / "lines"


@pytest.mark.parametrize(("lines", "takes"), [("20000, 80000", True), ("50000, 80000", False), ("36000, 80000", True)])
def test_one_more_starts_when_the_last_has_grown_and_what_is_free_holds_it(
    smi: Path, lines: str, takes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    smi.write_text(lines)
    now = [1000.0]
    monkeypatch.setattr(gpu_room.time, "monotonic", lambda: now[0])
    room = GpuRoom()
    assert room("0", 0)  # the first one always
    assert not room("0", 1)
    now[0] += SETTLE_S + 1
    assert room("0", 1) == takes
    assert not room("0", 1)  # it is not asked all the time
    smi.write_text("20000, 80000")
    now[0] += ASK_S
    assert room("0", 1)
    assert not room("0", 2)  # the second has just begun


def test_a_gpu_that_cannot_be_asked_has_room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    now = [0.0]
    monkeypatch.setattr(gpu_room.time, "monotonic", lambda: now[0])
    room = GpuRoom()
    room("0", 1)
    now[0] += SETTLE_S + 1
    assert room("0", 1)


def test_cells_are_dealt_to_the_gpus_that_programs_see(smi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    smi.write_text("0\n1\n")
    assert visible_gpus(None) == visible_gpus("cuda") == ["0", "1"]
    assert visible_gpus("cpu") == []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert visible_gpus(None) == ["3"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert visible_gpus(None) == []


def test_a_gpu_that_is_named_is_the_one_asked_for_room(smi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    smi.write_text("0\n1\n")
    assert (visible_gpus("cuda:0"), visible_gpus("cuda:1"), visible_gpus("cuda:2")) == (["0"], ["1"], [])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, 3")
    assert visible_gpus("cuda:1") == ["3"]
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    workers = Workers(4, visible_gpus("cuda:1"), lambda gpu, running: gpu == "3" and running < 1)
    assert workers.free
    workers._workers[0] = _Worker(process=None, cell="busy")  # type: ignore[arg-type]
    assert not workers.free
    assert workers.environment(0) == {}  # in a process that saw this GPU alone, it would be cuda:0
