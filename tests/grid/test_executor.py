"""The order in which cells run, and what becomes of those that fail, wait or are interrupted."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from kd_monai.grid.cells import Cell
from kd_monai.grid.executor import last_error, run_cells
from kd_monai.grid.ledger import Ledger
from kd_monai.grid.study_line import seconds_left


def cell(name: str, teacher: str = "", signature: str = "s") -> Cell:
    kind = name.partition("-")[0]
    pipeline = {"teacher": "teacher", "baseline": "baseline"}.get(kind, "student")
    return Cell(name, pipeline, kind, {"fold": name[-1]}, ("width=4",), teacher, signature)


CELLS = [
    *(cell(name) for name in ("teacher-0", "teacher-1", "baseline-0")),
    cell("kdnet-0", "teacher-0"),
    cell("kdnet-1", "teacher-1"),
]


class Fake:
    """A runner whose commands end at once, one a call; `wrong` says what goes wrong with a cell, or raises."""

    def __init__(self, out: Path, jobs: int = 1, wrong: Callable[[str], str] = lambda cell: "") -> None:
        self.out, self.jobs, self.wrong = out, jobs, wrong
        self.started: list[str] = []
        self.commands: dict[str, list[str]] = {}
        self.running: list[str] = []
        self.most = 0
        self.stopped = False

    @property
    def free(self) -> bool:
        return len(self.running) < self.jobs

    def start(self, cell: str, command: Sequence[str], log: Path) -> str:
        self.started.append(cell)
        self.commands[cell] = list(command)
        self.running.append(cell)
        self.most = max(self.most, len(self.running))
        return "THREADS=1 "

    def ended(self, timeout_s: float) -> dict[str, str]:
        wrong = self.wrong(self.running[0])
        name = self.running.pop(0)
        if not wrong:
            finished(self.out / f"{name}-run")
            Path(self.commands[name][self.commands[name].index("--note") + 1]).write_text(f"{self.out / name}-run\n")
        return {name: wrong}

    def stop(self) -> None:
        self.stopped = True


def finished(run: Path) -> None:
    (run / "bundle").mkdir(parents=True, exist_ok=True)
    (run / "run.json").write_text(json.dumps({"status": "FINISHED"}))
    (run / "cases.csv").touch()
    (run / "model.pt").touch()
    (run / "durations.json").write_text(json.dumps({"wall": 12.0}))


def run(runner: Fake, cells: Sequence[Cell] = CELLS) -> Any:
    return run_cells(cells, Ledger(runner.out, list(cells)), runner)


def entries(out: Path) -> dict[str, Any]:
    return json.loads((out / "study.json").read_text())["cells"]


def test_every_cell_runs_once_and_a_student_after_its_teacher_with_its_folder(tmp_path: Path) -> None:
    runner = Fake(tmp_path, jobs=3)
    outcome = run(runner)
    assert (outcome.finished, outcome.complaint) == (5, "")
    assert sorted(runner.started) == sorted(cell.name for cell in CELLS)
    assert runner.started.index("kdnet-1") > runner.started.index("teacher-1")
    command = runner.commands["kdnet-1"]
    assert command[0].endswith("pipelines/student.py")
    assert command[command.index("--teacher") + 1] == str(tmp_path / "teacher-1-run")
    assert runner.most == 3
    entry = entries(tmp_path)["kdnet-1"]
    assert (entry["state"], entry["run"], entry["seconds"]) == ("finished", "kdnet-1-run", 12.0)
    assert entry["command"].startswith("THREADS=1 ")
    assert entry["command"].endswith("--set width=4")
    assert runner.stopped


def test_a_finished_study_runs_nothing_again_also_where_it_was_copied_to(tmp_path: Path) -> None:
    run(Fake(tmp_path / "here"))
    (tmp_path / "here").rename(tmp_path / "there")
    again = Fake(tmp_path / "there")
    assert run(again).finished == 5
    assert again.started == []


def without_weights(out: Path, *cells: str) -> None:
    """Leave of runs what `unpack` writes."""
    for name in cells:
        (out / f"{name}-run" / "model.pt").unlink()
        (out / f"{name}-run" / "bundle").rmdir()


def test_scored_runs_without_weights_are_done_but_for_the_teacher_of_an_open_cell(tmp_path: Path) -> None:
    run(Fake(tmp_path))
    without_weights(tmp_path, *(cell.name for cell in CELLS))
    again = Fake(tmp_path)
    assert run(again).finished == 5
    assert again.started == []
    more = Fake(tmp_path)
    assert run(more, [*CELLS, cell("hinton-1", "teacher-1")]).finished == 6
    assert more.started == ["teacher-1", "hinton-1"]


@pytest.mark.parametrize("harm", ["unscored", "unfinished", "gone", "no bundle", "another setting"])
def test_a_cell_whose_run_is_not_done_whatever_the_file_says_runs_again(tmp_path: Path, harm: str) -> None:
    run(Fake(tmp_path))
    folder, cells = tmp_path / "baseline-0-run", list(CELLS)
    if harm == "unscored":
        (folder / "cases.csv").unlink()
    elif harm == "unfinished":
        (folder / "run.json").write_text('{"status": "RUNNING"}')
    elif harm == "gone":
        folder.rename(tmp_path / "elsewhere")
    elif harm == "no bundle":
        (folder / "bundle").rmdir()
    else:
        cells[2] = cell("baseline-0", signature="other")
    again = Fake(tmp_path)
    assert run(again, cells).finished == 5
    assert again.started == ["baseline-0"]


def test_a_grid_that_grew_runs_what_is_new_and_forgets_nothing(tmp_path: Path) -> None:
    run(Fake(tmp_path), CELLS[:3])
    more = Fake(tmp_path)
    run(more, [CELLS[0], CELLS[3]])
    assert more.started == ["kdnet-0"]
    assert entries(tmp_path)["baseline-0"]["state"] == "finished"


def test_a_cell_of_another_setting_takes_the_place_of_its_namesake_and_runs_again_on_the_way_back(
    tmp_path: Path,
) -> None:
    run(Fake(tmp_path))
    other = Fake(tmp_path)
    run(other, [cell("baseline-0", signature="other")])
    assert other.started == ["baseline-0"]
    assert {entry["state"] for entry in entries(tmp_path).values()} == {"finished"}
    back = Fake(tmp_path)
    run(back)
    assert back.started == ["baseline-0"]  # its command finds the run that is finished


def test_a_cell_that_fails_is_named_with_log_and_command_and_the_rest_go_on(tmp_path: Path) -> None:
    runner = Fake(tmp_path, wrong=lambda cell: "exit status 2" if cell == "teacher-0" else "")
    log = tmp_path / "logs" / "teacher-0.log"
    log.parent.mkdir()
    log.write_text("Caching\n\nValueError: LABELS must be\n  one of these\n")
    outcome = run(runner)
    assert outcome.finished == 3
    states = {name: entry["state"] for name, entry in entries(tmp_path).items()}
    assert states == {
        "teacher-0": "failed", "teacher-1": "finished", "baseline-0": "finished", "kdnet-0": "blocked",
        "kdnet-1": "finished",
    }  # fmt: skip
    for part in (
        "1 of 5 cells failed", "teacher-0: ValueError: LABELS must be one of these (exit status 2)", str(log),
        "pipelines/teacher.py", "1 wait for a teacher that failed", "the same command",
    ):  # fmt: skip
        assert part in outcome.complaint
    again = Fake(tmp_path)
    assert run(again).complaint == ""
    assert again.started == ["teacher-0", "kdnet-0"]


def test_a_cell_whose_note_is_missing_is_failed_with_what_is_missing_and_the_rest_go_on(tmp_path: Path) -> None:
    """A job's note may be seen late where machines share a file system."""

    class Late(Fake):
        def ended(self, timeout_s: float) -> dict[str, str]:
            ended = super().ended(timeout_s)
            if "teacher-0" in ended:
                (tmp_path / "logs" / "teacher-0.run").unlink()
            return ended

    outcome = run(Late(tmp_path))
    assert outcome.finished == 3
    assert "teacher-0.run is missing" in outcome.complaint
    assert entries(tmp_path)["kdnet-0"]["state"] == "blocked"
    assert run(Fake(tmp_path)).finished == 5


def test_ctrl_c_stops_what_runs_and_the_same_command_continues(tmp_path: Path) -> None:
    def interrupt(cell: str) -> str:
        if cell == "baseline-0":
            os.kill(os.getpid(), signal.SIGTERM)
        return ""

    before = signal.getsignal(signal.SIGINT)
    runner = Fake(tmp_path, jobs=2, wrong=interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(runner)
    assert runner.stopped
    assert signal.getsignal(signal.SIGINT) == before
    states = {name: entry["state"] for name, entry in entries(tmp_path).items()}
    assert set(states.values()) == {"finished", "pending"}
    again = Fake(tmp_path)
    assert run(again).finished == 5
    assert sorted([*runner.started, *again.started]) == sorted([*states, *runner.running])


def test_a_second_study_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    with FileLock(tmp_path / "study.lock"), pytest.raises(BlockingIOError, match="choose another OUT"):
        run(Fake(tmp_path))


def test_a_spoilt_file_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text("{")
    with pytest.raises(ValueError, match=r"study.json must be what a study wrote.*Remove it"):
        Ledger(tmp_path, CELLS)


def test_a_command_that_ends_well_without_a_run_is_a_fault(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, CELLS)
    with pytest.raises(ValueError, match="notes the folder of its run"):
        ledger.finish("teacher-0")


def test_the_last_error_of_a_log_is_told(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert last_error(log) == ""
    log.write_text("ValueError: of an earlier try\nTraceback\n  File x\nRuntimeError: CUDA out of memory\nmore of it\n")
    assert last_error(log) == "RuntimeError: CUDA out of memory more of it"


def test_the_time_left_follows_from_cells_of_the_same_kind() -> None:
    left = CELLS[2:]  # a baseline and two students
    assert seconds_left(left, {}, {}, 1) is None
    assert seconds_left(left, {"baseline": 10.0, "kdnet": 30.0}, {}, 1) == 70
    assert seconds_left(left, {"baseline": 10.0, "kdnet": 30.0}, {"baseline-0": 4.0}, 2) == 33
    assert seconds_left(left, {"teacher": 20.0}, {}, 10) == 20  # all at once
    assert seconds_left(left, {"baseline": 10.0, "kdnet": 30.0}, {"kdnet-0": 99.0}, 1) == 40
