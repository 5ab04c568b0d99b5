"""A demo's phases: those of its runs and its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kd_monai.phases import stopwatch
from kd_monai.report.phase_table import demo_durations, finish_demo


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    folders = [tmp_path / name for name in ("teacher", "student")]
    for folder in folders:
        folder.mkdir()
        (folder / "durations.json").write_text(json.dumps({"start-up": 4, "training": 30, "scoring": 5, "wall": 40}))
    return folders


def spend(monkeypatch: pytest.MonkeyPatch, **seconds: float) -> None:
    monkeypatch.setattr(stopwatch, "take", lambda: {name.replace("_", "-"): value for name, value in seconds.items()})


def test_the_table_sums_runs_and_what_lies_beside_them(runs: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    spend(monkeypatch, comparison=20, wall=20)
    assert [line.split() for line in finish_demo(runs).splitlines()] == [
        ["phase", "seconds", "share"],
        ["training", "60.0", "60.0%"],
        ["comparison", "20.0", "20.0%"],
        ["scoring", "10.0", "10.0%"],
        ["start-up", "8.0", "8.0%"],
        ["other", "2.0", "2.0%"],
        ["all", "100.0", "100.0%"],
    ]


def test_a_demo_that_finds_everything_done_shows_the_figures_of_the_one_that_did_it(
    runs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    spend(monkeypatch, comparison=20, wall=20)
    table = finish_demo(runs)
    spend(monkeypatch, start_up=4, comparison=7, wall=11)
    assert finish_demo(runs) == table
    spend(monkeypatch, comparison=7, wall=7)  # FORCE=1: a run was told of this process's start-up
    assert finish_demo(runs) != table


def test_a_demo_of_other_runs_replaces_it(runs: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    spend(monkeypatch, comparison=20, wall=20)
    finish_demo(runs)
    spend(monkeypatch, start_up=4, wall=4)
    finish_demo(runs[:1])
    assert demo_durations(runs[0].parent)["wall"] == 44


def test_without_a_finished_demo_it_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=f"make demo OUT={tmp_path}"):
        demo_durations(tmp_path)
