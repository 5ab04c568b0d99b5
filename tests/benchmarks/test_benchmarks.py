"""Every benchmark runs at tiny size, and gives rows that say what they must."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
QUICK = {"cached_memory", "cold_start"}
"""Those that train nothing and start no process."""
sys.path.insert(0, str(BENCHMARKS))

from warm_python import WarmPython  # noqa: E402

from question import ContractError, contract, in_turn  # noqa: E402
from row import Reach, Side, costlier, faster, machine  # noqa: E402
from run import benchmarks, line  # noqa: E402


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in benchmarks()]
)
def test_a_benchmark_answers_its_question(
    name: str,
    phantom: Path,
    tmp_path: Path,
    warm_python: WarmPython,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    file = tmp_path / "rows.json"
    script = str(BENCHMARKS / f"{name}.py")
    options = ["--size", "tiny", "--device", "cpu", "--out", str(tmp_path / "runs"), "--rows", str(file)]
    command = [script, *options, "--data", str(phantom), "--small-data", str(phantom)]
    # a process of its own would import MONAI once more, for seconds
    monkeypatch.setattr(sys, "argv", command)
    caplog.set_level("WARNING", "monai")  # as some set it, and for this test alone
    runpy.run_path(script, run_name="__main__")
    rows = json.loads(file.read_text())
    assert rows
    for row in rows:
        assert row["question"]
        assert row["contract"]
        assert 0 < row["low"] <= row["ratio"] <= row["high"]
        assert row["ours"]["unit"] == row["theirs"]["unit"]
        assert row["machine"]["cores"] >= 1
        assert row["machine"].keys() >= {"threads", "capability", "python", "torch", "monai", "openvino", "commit"}
        assert row["verdict"] == "-"  # a tiny run is no measurement
        assert row["question"] in line(row)


def test_ratios_are_those_of_each_round() -> None:
    ours, theirs = [1.0, 2.0, 4.0], [2.0, 2.0, 2.0]
    sides = Side.of("ours", "s", ours), Side.of("stock", "s", theirs)
    quick = faster("?", *sides, (ours, theirs), contract="same", reach=Reach("at least", 1.5))
    assert (quick.ratio, quick.low, quick.high, quick.verdict) == (1.0, 0.5, 2.0, "falls short")
    dear = costlier("?", *sides, (ours, theirs), contract="same", reach=Reach("at most", 1.0))
    assert (dear.ratio, dear.low, dear.high, dear.verdict) == (1.0, 0.5, 2.0, "reached")
    assert (sides[0].median, sides[0].low, sides[0].high) == (2.0, 1.0, 4.0)


def test_a_row_says_what_hands_out_memory_and_how_threads_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    monkeypatch.setenv("GLIBC_TUNABLES", "a=b")
    monkeypatch.setenv("SECRET", "c")
    environment = machine.__wrapped__()["environment"]
    assert (environment["GOMP_SPINCOUNT"], environment["GLIBC_TUNABLES"]) == ("7", "a=b")
    assert "SECRET" not in environment


def test_all_sides_take_turns() -> None:
    order: list[str] = []

    def side(name: str) -> float:
        order.append(name)
        return float(len(order))

    assert in_turn(lambda: side("a"), lambda: side("b"), rounds=2) == ([1.0, 3.0], [2.0, 4.0])
    assert order == ["a", "b", "a", "b"]
    assert len(in_turn(*[lambda name=name: side(name) for name in "cde"], rounds=2)) == 3
    assert order[4:] == ["c", "d", "e", "c", "d", "e"]


def test_a_broken_contract_stops_a_benchmark() -> None:
    contract(True, "both sides write one label map", 1)
    with pytest.raises(ContractError, match="both sides write one label map; got 3"):
        contract(False, "both sides write one label map", 3)


@pytest.mark.slow
def test_the_runner_names_who_gave_no_answer(
    tmp_path: Path, phantom: Path, warm_python: WarmPython, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(warm_python.program))
    command = ["run.py", "--only", "student_step", "--size", "tiny", "--device", "cpu", "--out", str(tmp_path)]
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr(sys, "argv", [*command, "--data", str(phantom), "--small-data", str(tmp_path / "empty")])
    with pytest.raises(SystemExit, match="No answer from student_step"):
        runpy.run_path(str(BENCHMARKS / "run.py"), run_name="__main__")
    assert json.loads((tmp_path / "bench.json").read_text()) == []


@pytest.mark.parametrize("option", ["--data", "--small-data"])
def test_the_runner_asks_nothing_of_data_that_is_not_there(
    option: str, phantom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"--data": str(phantom), "--small-data": str(phantom), option: str(tmp_path / "nowhere")}
    monkeypatch.setattr(
        sys, "argv", ["run.py", "--out", str(tmp_path), *[part for pair in given.items() for part in pair]]
    )
    monkeypatch.setattr(subprocess, "run", lambda *_args, **_kwargs: pytest.fail("a benchmark was asked"))
    with pytest.raises(SystemExit):
        runpy.run_path(str(BENCHMARKS / "run.py"), run_name="__main__")
    said = capsys.readouterr().err
    assert f"{option} (" in said
    assert f"{tmp_path / 'nowhere'} does not exist" in said
