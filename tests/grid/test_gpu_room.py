"""Whether a GPU takes one more cell; a script stands in for nvidia-smi, and cells that grow for what it measures."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kd_monai.grid import gpu_room
from kd_monai.grid.gpu_room import ASK_S, SETTLE_S, GpuRoom, visible_gpus
from kd_monai.grid.workers import Workers, _Worker


@pytest.fixture
def smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file whose lines the stand-in prints."""
    program = tmp_path / "nvidia-smi"
    program.write_text(f'#!/bin/sh\ncat "{tmp_path}/lines"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return tmp_path / "lines"


Cells = list[tuple[float, float]]


@dataclass
class Simulated:
    """A study's cells on a GPU: each reads its data with a context, then takes its memory and trains."""

    monkeypatch: pytest.MonkeyPatch
    now: float = 1000.0
    asked: int = 0

    def run(
        self,
        cells: Cells,
        total_mib: float,
        jobs: int = 32,
        reads_s: float = 15,
        context_mib: float = 500,
        foreign: Callable[[float], float] = lambda _: 300,
        says: Callable[[str], list[str] | None] = lambda line: [line],
        answers_in_s: float = 0,
    ) -> tuple[float, list[int]]:
        """The most memory that was in use, and how many cells ran at each second, until all have started.

        Args:
            cells: size in MiB and duration in seconds of each.
        """
        waiting, running, most, counts, began = list(cells), [], 0.0, [], self.now

        def used() -> float:
            own = (size if self.now - start >= reads_s else context_mib for size, _, start in running)
            return foreign(self.now - began) + sum(own)

        def ask(query: str, gpu: str = "") -> list[str] | None:
            self.asked += 1
            self.now += answers_in_s
            busy = any(self.now - start >= reads_s for _, _, start in running)
            return says(f"{used():.0f}, {total_mib:.0f}, {90 if busy else 0}")

        self.monkeypatch.setattr(gpu_room, "_ask", ask)
        self.monkeypatch.setattr(gpu_room.time, "monotonic", lambda: self.now)
        room = GpuRoom()
        while waiting or any(self.now - start < reads_s for _, _, start in running):
            running = [cell for cell in running if self.now - cell[2] < cell[1]]
            while waiting and len(running) < jobs and room("0", len(running)):
                running.append((*waiting.pop(0), self.now))
            counts.append(len(running))
            most = max(most, used())
            self.now += 1
        return most, counts


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> Simulated:
    """A GPU of which the room knows what it asks."""
    return Simulated(monkeypatch)


def test_short_cells_double_with_each_generation(simulated: Simulated) -> None:
    most, counts = simulated.run([(850, 41)] * 200, 143_000, jobs=16)
    assert most < 143_000
    assert [counts[second] for second in (40, 46, 87, 128)] == [1, 2, 6, 16]
    assert min(counts[128:-60]) == 16  # a place that a cell leaves is taken at once
    assert simulated.asked <= len(counts) / ASK_S + 1


def test_long_cells_double_each_minute(simulated: Simulated) -> None:
    _, counts = simulated.run([(850, 3000)] * 16, 143_000, jobs=16)
    assert [counts.index(number) for number in (2, 4, 8, 16)] == pytest.approx(
        [SETTLE_S * n for n in (1, 2, 3, 4)], abs=ASK_S
    )


@pytest.mark.parametrize(
    ("cells", "least", "more"),
    [
        ([(4_000, 600)] * 20 + [(8_200, 600)] * 40, 8, {}),  # students are larger than their teachers
        ([(8_000, 1000)] * 30, 6, {"reads_s": 90}),
        ([(18_000, 2000)] * 16, 3, {"reads_s": 300}),
        ([(18_000, 600)] * 20, 3, {}),
        ([(50_000, 600)] * 4, 1, {}),
        ([(2_500, 41)] * 60, 6, {}),
        ([(18_000, 600)] * 8, 2, {"foreign": lambda s: 20_000 if s < 5 else 3_000}),
        ([(18_000, 600)] * 20, 2, {"says": lambda line: [line.rpartition(",")[0] + ", [N/A]"]}),
    ],
)
def test_cells_that_run_together_fit(cells: Cells, least: int, more: dict[str, Any], simulated: Simulated) -> None:
    most, counts = simulated.run(cells, 80_000, **more)
    assert most <= 80_000
    assert max(counts) >= least


@pytest.mark.parametrize("seed", range(4))
def test_cells_of_other_sizes_and_durations_fit(seed: int, simulated: Simulated) -> None:
    draw = random.Random(seed)
    teachers = [(4_000.0, draw.uniform(40, 200)) for _ in range(15)]
    students = [(4_000 * draw.uniform(1, 2), draw.uniform(40, 200)) for _ in range(100)]
    most, counts = simulated.run(teachers + students, 80_000, reads_s=20)
    assert most <= 80_000
    assert max(counts) >= 6


def test_a_passing_load_of_another_program_does_not_keep_the_study_serial(simulated: Simulated) -> None:
    foreign = lambda s: 40_000 if 20 < s < 60 else 300  # noqa: E731
    most, counts = simulated.run([(2_000, 300)] * 60, 80_000, jobs=8, foreign=foreign)
    assert most <= 80_000
    assert max(counts) == 8


def test_a_gpu_that_does_not_answer_now_and_then_is_not_filled_blindly(simulated: Simulated) -> None:
    draw = random.Random(0)
    says = lambda line: None if draw.random() < 0.5 else [line]  # noqa: E731
    most, counts = simulated.run([(18_000, 600)] * 20, 80_000, jobs=16, says=says)
    assert most <= 80_000
    assert max(counts) >= 2


def test_a_gpu_that_answers_slowly_is_not_asked_all_the_time(simulated: Simulated) -> None:
    simulated.run([(18_000, 600)] * 4, 80_000, answers_in_s=8)
    assert simulated.asked <= (simulated.now - 1000) / (8 + ASK_S) + 1


@pytest.mark.parametrize("said", [None, [], [""], ["[N/A], [N/A], [N/A]"], ["1, 2"]])
def test_of_a_gpu_that_never_gives_numbers_the_numbers_of_cells_double(
    said: list[str] | None, simulated: Simulated
) -> None:
    _, counts = simulated.run([(1, 3000)] * 4, 80_000, jobs=4, says=lambda _: said)
    assert [counts.index(number) for number in (1, 2, 4)] == pytest.approx([0, SETTLE_S, 2 * SETTLE_S], abs=1)


def test_a_gpu_is_asked_by_its_id(smi: Path) -> None:
    smi.write_text("300, 80000, 0\n")
    room = GpuRoom()
    assert room("0", 0)
    assert room._gpus["0"].answer == (300, 80_000)
    (smi.parent / "nvidia-smi").write_text("#!/bin/sh\nexit 9\n")
    assert gpu_room._ask("index") is None
    (smi.parent / "nvidia-smi").unlink()
    assert gpu_room._ask("index") is None


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
