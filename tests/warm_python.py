"""A Python that has imported already what every pipeline imports: its forks run a command at once.

A process that imports MONAI takes some ten seconds on a busy machine, and README alone has two dozen commands. What
runs in a fork is the command's own script, with its arguments, folder, environment and streams; environment variables
that libraries read when they are imported are the server's.

    python warm_python.py serve SOCKET          imports, then waits for orders
    python warm_python.py run SOCKET SCRIPT ...  or -m MODULE ...; ends as the fork does
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

SIZE = 1 << 20
"""Bytes of an order, at most."""


class WarmPython:
    """The server, in a process of its own.

    Args:
        folder: for its socket and for `program`.

    Attributes:
        program: runs what `python` would run.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.socket = folder / "socket"
        self.program = folder / "python"
        # isolated and without site: it does nothing but hand over
        self.program.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S {__file__} run {self.socket} "$@"\n')
        self.program.chmod(0o755)
        self._process = subprocess.Popen([sys.executable, __file__, "serve", str(self.socket)])

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()


def serve(address: str) -> Sequence[str]:
    """Fork for each order; returns, in the fork alone, what it is to run."""
    for name in ("monai.bundle", *(f"kd_monai.study.{name}" for name in ("roles", "report", "selection", "predict"))):
        import_module(name)

    gc.freeze()  # a collection in a fork would copy the memory of all that was imported
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        made = f"{address}.made"
        listening.bind(made)
        listening.listen()
        os.rename(made, address)
        while True:
            connection, _ = listening.accept()
            if os.fork():
                connection.close()
                while _reaped():
                    pass
                continue
            listening.close()
            return _take(connection)


def _reaped() -> bool:
    try:
        return os.waitpid(-1, os.WNOHANG)[0] > 0
    except ChildProcessError:
        return False


def _take(connection: socket.socket) -> Sequence[str]:
    """The order; one process stays to tell how the other, which returns, has ended."""
    content, streams, _, _ = socket.recv_fds(connection, SIZE, 3)
    order = json.loads(content)
    pid = os.fork()
    if pid:
        connection.sendall(f"{pid}\n".encode())
        for stream in (*streams, 0, 1, 2):
            os.close(stream)  # a pipe that is read to its end must end with the fork
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        connection.sendall(f"{status}\n".encode())
        os._exit(0)
    connection.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    line: list[str] = order["line"]
    return line


def run(address: str, line: Sequence[str]) -> int:
    """Have a fork do this; its exit status, negative where a signal ended it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        while not os.path.exists(address):
            time.sleep(0.05)  # it still imports
        connection.connect(address)
        order = {"line": line, "folder": os.getcwd(), "environment": dict(os.environ)}
        socket.send_fds(connection, [json.dumps(order).encode()], [0, 1, 2])
        with connection.makefile() as told:
            pid = int(told.readline())
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda number, _: os.kill(pid, number))
            return int(told.readline())


def become(line: Sequence[str]) -> None:
    """Run a script, or `-m` a module, as a Python that begins with it would."""
    import torch

    from kd_monai.phases import stopwatch

    stopwatch.take()  # the server's own seconds
    if "OMP_NUM_THREADS" in os.environ:
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))  # it was read when torch was imported
    script = line[0]
    if script == "-m":
        sys.path[0] = os.getcwd()
        sys.argv = list(line[1:])
        runpy.run_module(line[1], run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = str(Path(script).resolve().parent)
        sys.argv = list(line)
        runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    if sys.argv[1] == "run":
        status = run(sys.argv[2], sys.argv[3:])
        sys.exit(status if status >= 0 else 128 - status)
    become(serve(sys.argv[2]))
