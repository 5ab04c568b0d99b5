"""A Python that has imported the libraries of every pipeline already: its forks run a command at once.

A process that imports MONAI takes some ten seconds on a busy machine, and README alone has two dozen commands. What
runs in a fork is the command's own script, which imports kd_monai for itself, with its arguments, folder, environment
and streams; environment variables that libraries read when they are imported are the server's.

    python warm_python.py serve SOCKET PARENT    imports, then waits for orders until its parent is gone
    python warm_python.py run SOCKET SCRIPT ...  or -m MODULE ...; ends as the fork does
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

LIBRARIES = (
    "monai.bundle",
    "ignite.engine",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
    "nibabel",
    "scipy",
)
STARTS_WITHIN_S = 300


class WarmPython:
    """The server, in a process of its own.

    Attributes:
        program: runs what `python` would run; the first command waits until the server is ready.
    """

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="warm", dir="/tmp")  # the path of a socket has some 100 characters
        address = f"{self._folder}/socket"
        self.program = Path(self._folder) / "python"
        # isolated and without site: it does nothing but hand over
        command = shlex.join([sys.executable, "-I", "-S", __file__, "run", address])
        self.program.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        self.program.chmod(0o755)
        self._process = subprocess.Popen([sys.executable, __file__, "serve", address, str(os.getpid())])

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()
        shutil.rmtree(self._folder)


def serve(address: str, parent: int) -> Sequence[str]:
    """Fork for each order; returns, in the fork alone, what it is to run."""
    for name in LIBRARIES:
        import_module(name)
    gc.freeze()  # a collection in a fork would copy the memory of all that was imported
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{address}.made")
        listening.listen()
        os.rename(f"{address}.made", address)
        while os.getppid() == parent:
            if not select.select([listening], [], [], 1)[0]:
                continue
            connection, _ = listening.accept()
            if not os.fork():
                listening.close()
                return _take(connection)
            connection.close()
            while _reaped():
                pass
    sys.exit()


def _reaped() -> bool:
    try:
        return os.waitpid(-1, os.WNOHANG)[0] > 0
    except ChildProcessError:
        return False


def _take(connection: socket.socket) -> Sequence[str]:
    """The order; one process stays to tell how the other, which returns, has ended."""
    content, streams, _, _ = socket.recv_fds(connection, 1 << 16, 3)
    while not content.endswith(b"\n"):
        content += connection.recv(1 << 16)
    order = json.loads(content)
    pid = os.fork()
    if pid:
        for stream in (*streams, 0, 1, 2):
            os.close(stream)  # a pipe that is read to its end must end with the fork
        connection.sendall(f"{pid}\n".encode())
        while not (ended := os.waitpid(pid, os.WNOHANG))[0]:
            if select.select([connection], [], [], 0.02)[0]:  # whoever asked for it was killed
                os.kill(pid, signal.SIGKILL)
                os._exit(1)
        connection.sendall(f"{os.waitstatus_to_exitcode(ended[1])}\n".encode())
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
    until = time.monotonic() + STARTS_WITHIN_S
    while not os.path.exists(address):
        if time.monotonic() > until:
            sys.exit(f"No server of forks at {address} after {STARTS_WITHIN_S} s.")
        time.sleep(0.05)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        order = {"line": line, "folder": os.getcwd(), "environment": dict(os.environ)}
        content = f"{json.dumps(order)}\n".encode()
        sent = socket.send_fds(connection, [content], [0, 1, 2])
        connection.sendall(content[sent:])
        with connection.makefile() as told:
            pid = int(told.readline())
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda number, _: os.kill(pid, number))
            return int(told.readline())


def become(line: Sequence[str]) -> None:
    """Run a script, or `-m` a module, as a Python that begins with it would."""
    import torch

    # read when torch was imported; set in a fork, torch now and then finds no pool ("Invalid thread pool!")
    wanted = int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads()))
    if wanted != torch.get_num_threads():
        torch.set_num_threads(wanted)
    sys.path[1:1] = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
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
    become(serve(sys.argv[2], int(sys.argv[3])))
