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

from kd_monai.tracking import serve

SCRIPT = Path(__file__).parents[2] / "pipelines" / "serve.py"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_the_server_binds_to_this_machine_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(subprocess, "call", lambda command, env: commands.append(command) or 0)
    assert serve("sqlite:///a.db", port=free_port()) == 0
    (command,) = commands
    assert command[command.index("--host") + 1] == "127.0.0.1"


def test_a_server_is_not_served_again() -> None:
    with pytest.raises(ValueError, match="Open it in a browser"):
        serve("http://127.0.0.1:9")


def test_a_taken_port_is_named_with_the_remedy() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="PORT="):
            serve("sqlite:///a.db", port=taken.getsockname()[1])


@pytest.mark.slow
def test_the_script_answers_in_a_browser_and_ends_at_ctrl_c(out: Path) -> None:
    port = free_port()
    command = [sys.executable, str(SCRIPT), "--out", str(out), "--port", str(port)]
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
