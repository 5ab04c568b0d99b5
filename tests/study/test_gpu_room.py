"""Whether a GPU takes one more cell; a script stands in for nvidia-smi, and cells that grow for what it measures."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
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


@dataclass
class Simulated:
    """A study's cells on a GPU: each reads its data, then takes its memory and trains."""

    monkeypatch: pytest.MonkeyPatch
    now: float = 1000.0
    asked: int = 0

    def run(
        self,
        sizes_mib: list[float],
        total_mib: float,
        jobs: int,
        lasts_s: float = 600,
        reads_s: float = 15,
        foreign_mib: float = 300,
        says: Callable[[str], list[str] | None] = lambda line: [line],
    ) -> tuple[float, list[int]]:
        """The most memory that was in use, and how many cells ran at each second, until all have started."""
        waiting, running, most, counts = list(sizes_mib), [], 0.0, []

        def ask(query: str, gpu: str = "") -> list[str] | None:
            self.asked += 1
            training = [size for size, start in running if self.now - start >= reads_s]
            return says(f"{foreign_mib + sum(training):.0f}, {total_mib:.0f}, {90 if training else 0}")

        self.monkeypatch.setattr(gpu_room, "_ask", ask)
        self.monkeypatch.setattr(gpu_room.time, "monotonic", lambda: self.now)
        room = GpuRoom()
        while waiting:
            running = [(size, start) for size, start in running if self.now - start < lasts_s]
            while waiting and len(running) < jobs and room("0", len(running)):
                running.append((waiting.pop(0), self.now))
            counts.append(len(running))
            # all that run reach their peak some time
            most = max(most, foreign_mib + sum(size for size, _ in running))
            self.now += 1
        return most, counts


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> Simulated:
    """A GPU of which the room knows what it asks."""
    return Simulated(monkeypatch)


def test_small_cells_start_together_once_the_first_one_trains(simulated: Simulated) -> None:
    most, counts = simulated.run([850] * 48, 143_000, jobs=16, lasts_s=41)
    assert most < 143_000
    trains = 15 + (BUSY + 1) * ASK_S
    assert counts[:15] == [1] * 15
    assert counts[trains + 1] == 16
    assert min(counts[trains + 1 :]) == 16  # a place that a short cell leaves is taken at once
    assert simulated.asked <= len(counts) / ASK_S + 1


@pytest.mark.parametrize(
    ("sizes", "total", "least", "more"),
    [
        ([4_000] * 20 + [6_000] * 40, 80_000, 10, {}),  # students are larger than their teachers
        ([8_000] * 30, 80_000, 7, {"reads_s": 90, "lasts_s": 1000}),
        ([18_000] * 20, 80_000, 3, {}),
        ([50_000] * 4, 80_000, 1, {}),
        ([2_500] * 60, 24_000, 5, {"lasts_s": 41}),
        ([2_500] * 60, 24_000, 1, {"foreign_mib": 20_000}),
    ],
)  # fmt: skip
def test_cells_that_run_together_fit(
    sizes: list[float], total: float, least: int, more: dict[str, float], simulated: Simulated
) -> None:
    most, counts = simulated.run(sizes, total, jobs=32, **more)
    assert most <= total
    assert max(counts) >= least


def test_a_gpu_that_does_not_answer_now_and_then_is_not_filled_blindly(simulated: Simulated) -> None:
    draw = random.Random(0)
    most, counts = simulated.run(
        [18_000] * 20, 80_000, jobs=16, says=lambda line: None if draw.random() < 0.5 else [line]
    )
    assert most <= 80_000
    assert max(counts) == 3


def test_without_utilisation_the_first_cell_has_a_minute(simulated: Simulated) -> None:
    most, counts = simulated.run(
        [18_000] * 20, 80_000, jobs=16, says=lambda line: [line.rpartition(",")[0] + ", [N/A]"]
    )
    assert most <= 80_000
    assert counts[: SETTLE_S - 1] == [1] * (SETTLE_S - 1)
    assert max(counts) == 3


@pytest.mark.parametrize("said", [None, [], [""], ["[N/A], [N/A], [N/A]"], ["1, 2"]])
def test_a_gpu_that_never_gives_numbers_takes_one_more_a_minute(said: list[str] | None, simulated: Simulated) -> None:
    _, counts = simulated.run([1] * 40, 80_000, jobs=4, lasts_s=41, says=lambda _: said)
    assert [counts.index(number) for number in (1, 2, 3, 4)] == pytest.approx(
        [0, SETTLE_S, 2 * SETTLE_S, 3 * SETTLE_S], abs=3
    )


def test_another_programs_kernels_are_not_taken_for_the_first_cells(simulated: Simulated) -> None:
    most, counts = simulated.run(
        [18_000] * 8, 80_000, jobs=8, reads_s=50, says=lambda line: [line.rpartition(",")[0] + ", 99"]
    )
    assert most <= 80_000
    assert counts[:50] == [1] * 50


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
