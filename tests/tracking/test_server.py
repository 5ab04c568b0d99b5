from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from tiny import command

from kd_monai.tracking import serve, server

SCRIPT = Path(__file__).parents[2] / "pipelines" / "serve.py"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "a.db"
    path.touch()
    return path


def test_the_server_binds_to_this_machine_alone(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(server, "_until_stopped", lambda command: commands.append(command) or 0)
    assert serve(f"sqlite:///{database}", port=free_port()) == 0
    (command,) = commands
    assert command[command.index("--host") + 1] == "127.0.0.1"


def test_a_server_is_not_served_again() -> None:
    with pytest.raises(ValueError, match="Open it in a browser"):
        serve("http://127.0.0.1:9")


def test_a_folder_without_runs_is_refused_and_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert command("mlflow", [f"OUT={tmp_path / 'nowhere'}"]) == 2
    said = capsys.readouterr()
    assert f"{tmp_path / 'nowhere' / 'mlruns.db'} does not exist" in said.err
    assert "or correct OUT" in said.err
    assert "MLflow shows" not in said.out + said.err
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_server_and_all_that_it_started(number: signal.Signals, tmp_path: Path) -> None:
    """What stands in for MLflow starts a process that holds on, as uvicorn does."""
    pids = tmp_path / "pids"
    child = f"""
import subprocess
started = subprocess.Popen(["sleep", "60"])
with open({str(pids)!r}, "w") as file:
    file.write(str(started.pid))
started.wait()
"""
    code = f"""
import signal, sys
from kd_monai.tracking import server
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # these tests may run under nohup
sys.exit(server._until_stopped([sys.executable, "-c", {child!r}]))
"""
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while not (pids.is_file() and pids.read_text()):
        assert time.monotonic() < until, "no process in 60 s"
        time.sleep(0.05)
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 0
    assert said == ""
    status = Path(f"/proc/{pids.read_text()}/stat")
    until = time.monotonic() + 10
    while status.is_file() and status.read_text().split()[2] != "Z":
        assert time.monotonic() < until, "what it started is still there"
        time.sleep(0.05)


def test_what_ends_by_itself_gives_its_status() -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert server._until_stopped([sys.executable, "-c", "raise SystemExit(3)"]) == 3
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_taken_port_is_named_with_the_remedy(database: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ValueError, match="PORT="):
            serve(f"sqlite:///{database}", port=taken.getsockname()[1])


@pytest.mark.slow
def test_the_script_answers_in_a_browser_and_ends_at_ctrl_c(out: Path) -> None:
    port = free_port()
    command = [sys.executable, str(SCRIPT), f"OUT={out}", f"PORT={port}"]
    process = subprocess.Popen(command, cwd=out.parent, start_new_session=True)
    try:
        until = time.monotonic() + 90
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
                    assert answer.status == 200
                break
            except OSError:
                assert time.monotonic() < until, "no answer in 90 s"
                time.sleep(0.5)
    finally:
        os.killpg(process.pid, signal.SIGINT)
    assert process.wait(30) == 0
