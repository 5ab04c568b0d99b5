"""Processes that run commands one after another; scripts of a few lines stand in for trainings."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kd_monai.grid import workers as module
from kd_monai.grid.worker import run_logged
from kd_monai.grid.workers import Workers, threads_each

SCRIPT = """
import os, sys, time
from pathlib import Path
print("says", *sys.argv[1:])
os.system("echo a child of it says so too")
print("pid", os.getpid(), "threads", os.environ.get("OMP_NUM_THREADS"), flush=True)
match sys.argv[1]:
    case "raise": raise RuntimeError("no luck")
    case "exit": sys.exit(int(sys.argv[2]))
    case "text": sys.exit("that is wrong")
    case "die": os.kill(os.getpid(), 9)
    case "wait":
        try:
            time.sleep(600)
        except KeyboardInterrupt:
            Path(sys.argv[2]).write_text("interrupted")
            sys.exit(130)
"""


@pytest.fixture
def script(tmp_path: Path) -> str:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    return str(path)


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Workers]:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    made = Workers(2)
    yield made
    made.stop()


def wait(workers: Workers, number: int = 1) -> dict[str, str]:
    ended: dict[str, str] = {}
    until = time.monotonic() + 300
    while len(ended) < number:
        assert time.monotonic() < until, f"{ended} after five minutes"
        ended |= workers.ended(1)
    return ended


def pid_in(log: Path) -> int:
    until = time.monotonic() + 300
    while not (log.is_file() and "pid " in log.read_text()):
        assert time.monotonic() < until, "nothing said in five minutes"
        time.sleep(0.05)
    return int(log.read_text().split("pid ")[1].split()[0])


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["well"], 0, "says well\n"),
        (["well"], 0, "a child of it says so too\n"),
        (["exit", "3"], 3, "says exit 3"),
        (["exit", "0"], 0, "says exit 0"),
        (["text"], 1, "that is wrong"),
        (["raise"], 1, "RuntimeError: no luck\n"),
    ],
)
def test_a_command_has_its_exit_status_and_its_log(
    script: str, tmp_path: Path, arguments: list[str], status: int, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    before = list(sys.argv)
    with capfd.disabled():  # else sys.stdout is pytest's own
        assert run_logged([script, *arguments], tmp_path / "logs" / "log") == status
    assert said in (tmp_path / "logs" / "log").read_text()
    assert sys.argv == before


def test_a_log_holds_earlier_tries_too(script: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with capfd.disabled():
        for word in ("first", "second"):
            run_logged([script, word], tmp_path / "log")
    assert [f"says {word}" in (tmp_path / "log").read_text() for word in ("first", "second")] == [True, True]


def test_an_interrupted_command_interrupts_its_process(script: str, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_logged([script, "exit", "130"], tmp_path / "log")


def test_a_job_that_was_queued_again_ends_its_process(script: str, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stop:
        run_logged([script, "exit", "-1"], tmp_path / "log")
    assert stop.value.code == -1


@pytest.mark.slow
def test_processes_take_cells_one_after_another_and_those_that_failed_are_replaced(
    script: str, tmp_path: Path, workers: Workers
) -> None:
    def go(cell: str, *arguments: str) -> tuple[dict[str, str], int]:
        log = tmp_path / cell
        assert workers.start(cell, [script, *arguments], log) == f"OMP_NUM_THREADS={threads_each(2)} "
        return wait(workers), pid_in(log)

    first, pid = go("a", "well")
    second, again = go("b", "exit", "2")
    third, other = go("c", "die")
    assert (first, second, third) == (
        {"a": ""},
        {"b": "exit status 2"},
        {"c": "its process ended by SIGKILL"},
    )
    assert pid == again
    assert other != pid
    assert f"threads {threads_each(2)}" in (tmp_path / "a").read_text()


@pytest.mark.slow
def test_as_many_run_at_once_as_there_are_places_and_all_are_interrupted_at_a_stop(
    script: str, tmp_path: Path, workers: Workers
) -> None:
    for cell in ("a", "b"):
        assert workers.free
        workers.start(cell, [script, "wait", str(tmp_path / f"{cell}.told")], tmp_path / cell)
    assert not workers.free
    pids = [pid_in(tmp_path / cell) for cell in ("a", "b")]
    assert len(set(pids)) == 2
    workers.stop()
    assert [(tmp_path / f"{cell}.told").read_text() for cell in ("a", "b")] == ["interrupted"] * 2
    assert all("Traceback" not in (tmp_path / cell).read_text() for cell in ("a", "b"))
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.slow
def test_a_killed_study_leaves_no_process_behind(script: str, tmp_path: Path) -> None:
    """One that went on would hold its run's lock against the next launch."""
    code = f"""
import time
from pathlib import Path
from kd_monai.grid.workers import Workers
Workers(1).start("a", [{script!r}, "wait", {str(tmp_path / "told")!r}], Path({str(tmp_path / "log")!r}))
time.sleep(600)
"""
    study = subprocess.Popen([sys.executable, "-c", code])
    try:
        pid = pid_in(tmp_path / "log")
    finally:
        study.send_signal(signal.SIGKILL)
        study.wait()
    until = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists() and "zombie" not in Path(f"/proc/{pid}/status").read_text():
        assert time.monotonic() < until, "it lives on"
        time.sleep(0.05)


def test_threads_are_shared_by_those_that_run_at_once_and_a_number_that_is_given_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(module.os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    assert [threads_each(jobs) for jobs in (1, 2, 3, 16)] == [8, 4, 2, 1]
    assert Workers(4).environment(0) == {"OMP_NUM_THREADS": "2"}
    assert Workers(1).environment(0) == {}  # as a command that is typed
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert Workers(4).environment(0) == {}


def test_places_are_dealt_to_the_gpus_that_have_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    full = {"0": 2, "1": 0}  # cells that each takes

    workers = Workers(4, ["0", "1"], lambda gpu, running: running < full[gpu])
    assert [workers.environment(place)["CUDA_VISIBLE_DEVICES"] for place in range(4)] == ["0", "1", "0", "1"]
    assert workers._free_place() == 0
    for place in (0, 2):
        workers._workers[place] = module._Worker(process=None, cell="busy")  # type: ignore[arg-type]
    assert not workers.free
    full["1"] = 1
    assert workers._free_place() == 1
    workers._workers.clear()
