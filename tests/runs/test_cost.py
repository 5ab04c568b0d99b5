from __future__ import annotations

import math
from pathlib import Path

import pytest
from fake_runs import write_journal

from kd_monai.runs.read import hardware_of, run_cost


def test_cost_is_the_median_second_and_the_largest_memory(tmp_path: Path) -> None:
    # the first epoch of a training warms up
    write_journal(tmp_path, seconds=[9.0, 0.5, 0.4], mib=[700, 900, 800])
    found = run_cost(tmp_path)
    assert found is not None
    assert found[:2] == (0.5, 900)
    assert math.isnan(found.minutes)
    (tmp_path / "durations.json").write_text('{"training": 60, "wall": 90}')
    assert run_cost(tmp_path)[2] == 1.5
    assert found.hardware == "A Processor, 1 thread a run"


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"device": "cuda"}, "A GPU"),
        ({"device": "cuda:1"}, "A GPU"),
        ({"torch_threads": "2"}, "A Processor, 2 threads a run"),
        ({"cpu": ""}, "a CPU of 2 cores, 1 thread a run"),
    ],
)
def test_hardware_is_what_the_network_ran_on(tmp_path: Path, told: dict[str, str], said: str) -> None:
    write_journal(tmp_path, [1.0], [1.0], **told)
    assert hardware_of([run_cost(tmp_path), None]) == said


def test_a_run_that_told_nothing_has_no_cost(tmp_path: Path) -> None:
    assert run_cost(tmp_path) is None
    write_journal(tmp_path, [], [])
    found = run_cost(tmp_path)
    assert found is not None
    assert math.isnan(found.seconds_per_step)
    assert hardware_of([None]) == "hardware not recorded"
