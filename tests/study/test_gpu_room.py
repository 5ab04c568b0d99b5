"""Whether a GPU takes one more cell; a script stands in for nvidia-smi."""

from __future__ import annotations

from pathlib import Path

import pytest

from kd_monai.study import gpu_room
from kd_monai.study.gpu_room import ASK_S, BUSY, SETTLE_S, GpuRoom, visible_gpus
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


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be set."""
    now = [1000.0]
    monkeypatch.setattr(gpu_room.time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize(
    ("lines", "more"),
    [("20000, 80000, 50", 1), ("50000, 80000, 50", 0), ("36000, 80000, 1", 1), ("2000, 80000, 9", 16)],
)
def test_a_settled_gpu_takes_half_of_the_cells_that_what_is_free_holds(
    smi: Path, now: list[float], lines: str, more: int
) -> None:
    smi.write_text(lines)
    room = GpuRoom()
    assert room("0", 0)  # the first one always
    assert not room("0", 1)
    now[0] += ASK_S
    assert [room("0", 1 + number) for number in range(more + 1)] == [True] * more + [False]


def test_a_lone_cell_has_settled_as_soon_as_it_trains(smi: Path, now: list[float]) -> None:
    smi.write_text("500, 80000, 0")  # it reads its data
    room = GpuRoom()
    assert room("0", 0)
    for _ in range(2 * SETTLE_S // ASK_S):
        now[0] += ASK_S
        assert not room("0", 1)
    smi.write_text("2000, 80000, 40")
    answers = []
    for _ in range(BUSY):
        now[0] += ASK_S
        answers.append(room("0", 1))
    assert answers == [False, True]
    assert all(room("0", running) for running in range(1, 17))


def test_a_place_that_is_left_is_taken_at_once_and_a_new_one_when_the_last_has_settled(
    smi: Path, now: list[float]
) -> None:
    smi.write_text("20000, 80000, 50")
    room = GpuRoom()
    room("0", 1)
    now[0] += ASK_S
    assert room("0", 1)
    assert not room("0", 2)
    assert room("0", 1)  # one has ended
    assert not room("0", 2)
    assert room("0", 0)
    assert room("0", 1)
    assert not room("0", 2)
    now[0] += SETTLE_S - 1
    assert not room("0", 2)
    now[0] += ASK_S  # two take no more than one did
    assert [room("0", 2 + number) for number in range(4)] == [True] * 3 + [False]


@pytest.mark.parametrize("answer", ["", "[N/A], [N/A], [N/A]"])
def test_a_gpu_that_gives_no_numbers_takes_one_more_at_a_time(smi: Path, now: list[float], answer: str) -> None:
    smi.write_text(answer)
    room = GpuRoom()
    room("0", 1)
    now[0] += SETTLE_S + 1
    assert room("0", 1)
    assert not room("0", 2)
    now[0] += SETTLE_S + 1
    assert room("0", 2)


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
