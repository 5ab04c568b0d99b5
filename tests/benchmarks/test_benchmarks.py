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


def bench(words: list[str], small_data: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Exit status of ``make bench`` with these words; the phantom of the small questions is already there."""
    monkeypatch.setattr("kd_monai.phantom.write_phantom", lambda *_args, **_kwargs: small_data)
    monkeypatch.setattr(sys, "argv", ["run.py", *words])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(BENCHMARKS / "run.py"), run_name="__main__")
    assert isinstance(end.value.code, int)
    return end.value.code


@pytest.mark.slow
def test_the_runner_names_who_gave_no_answer(
    tmp_path: Path,
    phantom: Path,
    warm_python: WarmPython,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "executable", str(warm_python.program))
    (tmp_path / "empty").mkdir()
    words = ["ONLY=student_step", "SIZE=tiny", "DEVICE=cpu", f"DATA={phantom}", f"OUT={tmp_path}"]
    assert bench(words, tmp_path / "empty", monkeypatch) == 2
    assert "No answer from student_step" in capsys.readouterr().err
    assert json.loads((tmp_path / "bench.json").read_text()) == []


def test_the_runner_hands_its_words_to_the_question(
    tmp_path: Path, phantom: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The words are those that the Makefile passes, VENV among them."""
    asked: list[list[str]] = []
    monkeypatch.setattr(
        subprocess, "run", lambda command, **_: asked.append(command) or subprocess.CompletedProcess(command, 0)
    )
    words = ["VENV=.venv", "ONLY=cold_start,warm_start", "SIZE=tiny", f"DATA={tmp_path}", f"OUT={tmp_path / 'o'}"]
    assert bench(words, phantom, monkeypatch) == 0
    assert [Path(command[1]).stem for command in asked] == ["cold_start", "warm_start"]
    options = dict(zip(asked[0][2::2], asked[0][3::2], strict=True))
    assert options.pop("--rows")
    wanted = {"--size": "tiny", "--out": str(tmp_path / "o"), "--data": str(tmp_path), "--small-data": str(phantom)}
    assert options == wanted
    assert "No row from cold_start, warm_start" in capsys.readouterr().out


@pytest.mark.parametrize("word", ["DATA=nowhere", "ONLY=cold_star", "SIZE=huge", "METHOD=kdnet"])
def test_the_runner_asks_nothing_where_a_word_does_not_fit(
    word: str, phantom: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_args, **_kwargs: pytest.fail("a benchmark was asked"))
    assert bench([word], phantom, monkeypatch) == 2
    assert word.partition("=")[0] in capsys.readouterr().err
