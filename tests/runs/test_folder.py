"""A run's folder: found again by its key, locked while it runs, and honest about how it ended."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from filelock import FileLock
from small_run import datalist, plan, run_folder

from kd_monai.errors import UserError
from kd_monai.runs import RunFolder


def status(run: RunFolder) -> str:
    return json.loads((run.path / "run.json").read_text())["status"]


def finish(run: RunFolder) -> RunFolder:
    run.open()
    torch.save({}, run.model)
    run.finish()
    return run


def test_an_open_run_has_written_down_what_it_is(tmp_path: Path) -> None:
    run = run_folder(tmp_path)
    run.open()
    assert run.path == tmp_path / f"kdnet_t1ce-fold0-{run.key[:8]}"
    assert yaml.safe_load((run.path / "config.yaml").read_text()) == plan(tmp_path).config
    assert json.loads((run.path / "split.json").read_text()) == datalist().split
    record = json.loads((run.path / "run.json").read_text())
    assert record["status"] == "RUNNING"
    assert record["run_key"] == run.key
    assert record["seen"] == ["a", "b", "c", "d"]
    assert (record["role"], record["method"], record["fold"], record["seed"]) == ("student", "kdnet", 0, 7)
    run.fail()


@pytest.mark.parametrize("value", [0, -1, "zero", 1.5, None, True])
@pytest.mark.parametrize("name", ["epochs", "steps_per_epoch", "val_every"])
def test_what_counts_no_epochs_or_steps_is_refused_and_makes_no_folder(tmp_path: Path, name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"`{name}` must be a whole number, at least 1; got {value!r}. Correct"):
        run_folder(tmp_path, **{name: value})
    assert not list(tmp_path.iterdir())


def test_an_expression_may_count_epochs(tmp_path: Path) -> None:
    assert run_folder(tmp_path, epochs="$2 * 3").config["epochs"] == "$2 * 3"


@pytest.mark.parametrize(("device", "threads", "warned"), [("cpu", 3, True), ("cpu", 2, False), ("cuda", 3, False)])
def test_a_cpu_run_that_goes_on_with_another_number_of_threads_says_so(
    device: str, threads: int, warned: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    for number in (2, threads):
        monkeypatch.setattr(torch, "get_num_threads", lambda number=number: number)
        run = run_folder(tmp_path, device=device)
        run.open()
        assert json.loads((run.path / "run.json").read_text())["torch_threads"] == number
        run.fail()
    assert ("had 2 and goes on with 3" in caplog.text) == warned
    assert ("OMP_NUM_THREADS=2 keeps them" in caplog.text) == warned


def test_a_teacher_is_named_by_its_role(tmp_path: Path) -> None:
    assert run_folder(tmp_path, role="teacher", method="baseline").path.name.startswith("teacher-fold0-")


def test_the_same_configuration_finds_its_folder_and_another_gets_its_own(tmp_path: Path) -> None:
    first = run_folder(tmp_path).path
    assert run_folder(tmp_path).path == first
    others: list[dict[str, Any]] = [
        {"epochs": 3},
        {"data": datalist("e" * 64)},
        {"data": datalist(test=("e",))},
    ]
    assert len({run_folder(tmp_path, **change).path for change in others} | {first}) == 4


def test_a_finished_run_ends_the_process_with_status_0_and_changes_nothing(tmp_path: Path) -> None:
    first = finish(run_folder(tmp_path))
    assert first.finished
    before = {path: path.stat().st_mtime_ns for path in first.path.iterdir()}
    with pytest.raises(SystemExit) as stop:
        run_folder(tmp_path).open()
    assert stop.value.code == 0
    assert {path: path.stat().st_mtime_ns for path in first.path.iterdir()} == before


def test_checkpoints_go_when_a_run_is_finished_and_weights_stay_with_their_hash(tmp_path: Path) -> None:
    run = run_folder(tmp_path)
    run.open()
    (run.path / "checkpoints").mkdir()
    (run.path / "checkpoints" / "epoch.pt").touch()
    torch.save({}, run.model)
    run.finish()
    assert not (run.path / "checkpoints").exists()
    digest = hashlib.sha256(run.model.read_bytes()).hexdigest()
    assert json.loads((run.path / "run.json").read_text())["model_digest"] == digest[:16]


def test_a_run_without_weights_is_not_finished(tmp_path: Path) -> None:
    run = run_folder(tmp_path)
    run.open()
    with pytest.raises(RuntimeError, match="no validation ran"):
        run.finish()
    assert status(run) == "RUNNING"
    run.fail()


@pytest.mark.parametrize("ended", ["FAILED", "KILLED"])
def test_a_run_that_ended_badly_says_so_and_is_continued(ended: Any, tmp_path: Path) -> None:
    run, told = run_folder(tmp_path), []
    run.on_fail.append(told.append)
    run.open()
    (run.path / "checkpoints").mkdir()
    run.fail(ended)
    run.fail("FAILED")  # a second look changes nothing
    assert (status(run), told) == (ended, [ended])
    again = run_folder(tmp_path)
    again.open()
    assert status(again) == "RUNNING"
    assert (again.path / "checkpoints").is_dir()
    again.fail()


def test_failing_after_the_end_changes_nothing(tmp_path: Path) -> None:
    run = finish(run_folder(tmp_path))
    run.fail()
    assert status(run) == "FINISHED"


def test_a_finished_run_whose_weights_are_gone_is_trained_anew(tmp_path: Path) -> None:
    first = finish(run_folder(tmp_path))
    first.model.unlink()
    (first.path / "cases.csv").write_text("of the weights that are gone")
    again = run_folder(tmp_path)
    assert not again.finished
    again.open()
    assert not (again.path / "cases.csv").exists()
    assert status(again) == "RUNNING"
    again.fail()


def test_force_forgets_a_finished_run(tmp_path: Path) -> None:
    finish(run_folder(tmp_path))
    forced = run_folder(tmp_path, force=True)
    forced.open()
    assert status(forced) == "RUNNING"
    assert not forced.model.exists()
    assert not [
        path.name for path in forced.path.iterdir() if path.name not in ("config.yaml", "split.json", "run.json")
    ]
    forced.fail()


def test_one_object_at_a_time_holds_a_folder_even_in_one_process(tmp_path: Path) -> None:
    run = run_folder(tmp_path)
    run.open()
    with pytest.raises(UserError, match="another one holds"):
        run_folder(tmp_path).open()
    with pytest.raises(UserError):
        run_folder(tmp_path, force=True).open()
    assert status(run) == "RUNNING"
    run.fail()


def test_runs_whose_names_have_dots_do_not_share_a_lock(tmp_path: Path) -> None:
    runs = [run_folder(tmp_path, method="kl-0.5", seed=seed) for seed in (0, 1)]
    for run in runs:
        run.open()
    for run in runs:
        run.fail()


@pytest.mark.parametrize("name", ["seed", "fold", "output_dir", "method"])
def test_what_names_a_run_is_a_plain_value(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"`{name}`.*plain"):
        run_folder(tmp_path, **{name: "$1 + 1"})


def test_the_same_settings_of_another_package_that_computes_otherwise_are_another_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_folder(tmp_path)
    monkeypatch.setattr("kd_monai.runs.identity.COMPUTES", first.record["computes"] + 1)
    assert run_folder(tmp_path).path != first.path


ENDINGS = """
import os, signal, sys, time
from pathlib import Path
from small_run import run_folder
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
out = Path(sys.argv[1])
for mode in ("crash", "interrupt", "kill"):
    if not os.fork():
        break
else:
    while True:
        try:
            os.wait()
        except ChildProcessError:
            sys.exit()
run = run_folder(out, method=mode)
run.on_fail.append(lambda status: (run.path / "told").write_text(status))
run.open()
print(mode, os.getpid(), run.path, flush=True)
if mode == "crash":
    raise KeyError("a defect")
time.sleep(60)
"""


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[int, Path]]]:
    """Three processes with an open run each: one crashes, one waits for Ctrl-C, one to be killed."""
    out = tmp_path_factory.mktemp("runs")
    parent = subprocess.Popen(
        [sys.executable, "-c", ENDINGS, str(out)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert parent.stdout is not None
    lines = [parent.stdout.readline().split() for _ in range(3)]
    found = {mode: (int(pid), Path(path)) for mode, pid, path in lines}
    yield found
    for pid, _ in found.values():
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    parent.wait(30)


def again(processes: dict[str, tuple[int, Path]], mode: str) -> RunFolder:
    return run_folder(processes[mode][1].parent, method=mode)


def open_when_released(run: RunFolder) -> str:
    """Open once the lock has fallen; what the run said of itself before."""
    with FileLock(run.path.with_name(f"{run.path.name}.lock"), timeout=10):
        before = status(run)  # with the lock: its holder may still be writing
    run.open()
    run.fail()
    return before


def test_a_crash_outside_of_any_launcher_marks_the_run_failed_and_tells_the_tracker(processes) -> None:
    run = again(processes, "crash")
    assert open_when_released(run) == "FAILED"
    assert (run.path / "told").read_text() == "FAILED"


def test_a_folder_held_by_another_process_is_refused_until_ctrl_c_ends_it_and_marks_it_killed(processes) -> None:
    run = again(processes, "interrupt")
    with pytest.raises(UserError, match=r"another one holds .*\.lock.*another OUT"):
        run.open()
    assert status(run) == "RUNNING"
    os.kill(processes["interrupt"][0], signal.SIGINT)
    assert open_when_released(run) == "KILLED"
    assert (run.path / "told").read_text() == "KILLED"


def test_a_lock_falls_with_its_holder_and_a_stale_running_run_is_continued(processes) -> None:
    run = again(processes, "kill")
    os.kill(processes["kill"][0], signal.SIGKILL)
    assert open_when_released(run) == "RUNNING"


def finished_run(out: Path) -> RunFolder:
    """A finished run whose weights are the bytes `old`."""
    run = run_folder(out)
    run.open()
    run.model.write_bytes(b"old")
    run.finish()
    return run


def test_a_forced_run_that_fails_before_its_first_epoch_gives_the_old_one_back(tmp_path: Path) -> None:
    path = finished_run(tmp_path).path
    forced = run_folder(tmp_path, force=True)
    forced.open()
    assert not (path / "model.pt").exists()
    forced.fail()
    assert (path / "model.pt").read_bytes() == b"old"
    assert run_folder(tmp_path).finished


def test_a_forced_run_that_fails_later_is_kept_to_be_continued_and_the_old_one_beside_it(tmp_path: Path) -> None:
    path = finished_run(tmp_path).path
    forced = run_folder(tmp_path, force=True)
    forced.open()
    (path / "checkpoints").mkdir()
    forced.fail()
    assert not run_folder(tmp_path).finished
    assert (tmp_path / f".{path.name}.replaced" / "model.pt").read_bytes() == b"old"

    again = run_folder(tmp_path)
    again.open()
    again.model.write_bytes(b"new")
    again.finish()
    assert (path / "model.pt").read_bytes() == b"new"
    assert not (tmp_path / f".{path.name}.replaced").exists()


def test_a_forced_run_knows_which_unfinished_one_it_replaces(tmp_path: Path) -> None:
    crashed = run_folder(tmp_path)
    crashed.open()
    (crashed.path / "journal.jsonl").write_text('{"op": "run", "id": "abc"}\n')
    crashed.fail()
    forced = run_folder(tmp_path, force=True)
    forced.open()
    assert forced.replaces == "abc"
    forced.fail()


def test_a_forced_run_does_not_end_the_finished_one(tmp_path: Path) -> None:
    path = finished_run(tmp_path).path
    (path / "journal.jsonl").write_text('{"op": "run", "id": "abc"}\n')
    forced = run_folder(tmp_path, force=True)
    forced.open()
    assert forced.replaces is None
    forced.fail()


def test_a_forced_unfinished_run_stays_beside_the_new_one_and_comes_back_if_that_fails_at_once(tmp_path: Path) -> None:
    crashed = run_folder(tmp_path)
    crashed.open()
    (crashed.path / "checkpoints").mkdir()
    (crashed.path / "checkpoints" / "epoch.pt").write_bytes(b"old")
    crashed.fail()
    forced = run_folder(tmp_path, force=True)
    forced.open()
    assert (forced.replaced / "checkpoints" / "epoch.pt").read_bytes() == b"old"
    forced.fail()
    assert (crashed.path / "checkpoints" / "epoch.pt").read_bytes() == b"old"
    assert {path.name for path in tmp_path.iterdir()} == {crashed.path.name, f"{crashed.path.name}.lock"}


def test_scores_of_a_run_without_weights_stay_until_it_is_trained_anew(tmp_path: Path) -> None:
    """An unpacked run is evidence; its weights are not here."""
    unpacked = finished_run(tmp_path)
    unpacked.model.unlink()
    (unpacked.path / "cases.csv").write_text("subject")
    again = run_folder(tmp_path)
    again.open()
    assert (again.replaced / "cases.csv").is_file()
    again.model.write_bytes(b"new")
    again.finish()
    assert not again.replaced.exists()


def test_of_several_forced_attempts_the_finished_run_is_what_stays(tmp_path: Path) -> None:
    finished_run(tmp_path)
    for _attempt in range(2):
        forced = run_folder(tmp_path, force=True)
        forced.open()
        (forced.path / "checkpoints").mkdir()
        forced.fail()
    assert (forced.replaced / "model.pt").read_bytes() == b"old"
    assert not (forced.path / "model.pt").exists()


@pytest.mark.parametrize("after", ["nothing", "a new folder without its name"])
def test_a_process_that_is_killed_between_two_renames_loses_nothing(after: str, tmp_path: Path) -> None:
    run = finished_run(tmp_path)
    run.path.rename(run.replaced)
    if after != "nothing":
        (tmp_path / f".{run.path.name}.new").mkdir()
    with pytest.raises(SystemExit):
        run_folder(tmp_path).open()
    assert run.model.read_bytes() == b"old"


def test_a_forced_run_is_never_seen_without_its_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever fails while the new folder is written, the old one has its name."""
    run = finished_run(tmp_path)
    forced = run_folder(tmp_path, force=True)
    monkeypatch.setattr("kd_monai.runs.folder.write_json", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        forced.open()
    assert run.model.read_bytes() == b"old"
    forced._lock.release()
