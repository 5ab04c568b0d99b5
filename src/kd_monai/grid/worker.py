"""A process that runs the commands of cells, one after another: what takes five seconds to import is imported once.

Orders come as lines of JSON on standard input, ``{"command": [script, argument, ...], "log": file}``; to each an exit
status is answered on standard output. What a command says goes into its log.
"""

from __future__ import annotations

import gc
import io
import json
import os
import queue
import runpy
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from kd_monai.phases import stopwatch


def run_logged(command: Sequence[str], log: str | Path) -> int:
    """Run a script in this process, as ``python script argument ...`` would; returns its exit status.

    What it writes, libraries in C included, is appended to ``log``.

    Raises:
        KeyboardInterrupt: its user stopped it.
    """
    stopwatch.take()  # what came before belongs to another run
    before, sys.argv = sys.argv, list(command)
    with _output_into(Path(log)):
        try:
            runpy.run_path(command[0], run_name="__main__")
        except SystemExit as stop:
            if stop.code == 128 + signal.SIGINT:
                raise KeyboardInterrupt from stop
            if stop.code == -1:
                raise  # submitit has queued its job again
            if isinstance(stop.code, str):
                sys.stderr.write(f"{stop.code}\n")  # as the interpreter would
            return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        except Exception:
            traceback.print_exc()
            return 1
        finally:
            sys.argv = before
            gc.collect()
            if torch.cuda.is_initialized():
                torch.cuda.empty_cache()
    return 0


@contextmanager
def _output_into(log: Path) -> Iterator[None]:
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    kept = [os.dup(number) for number in (1, 2)]
    with log.open("ab", buffering=0) as file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, copy in zip((1, 2), kept, strict=True):
            os.dup2(copy, number)
            os.close(copy)


def _read(orders: queue.Queue[str | None]) -> None:
    # not sys.stdin: a thread that reads it holds its lock when the interpreter ends
    for line in io.FileIO(0, closefd=False):
        orders.put(line.decode())
    # whoever gives the orders has gone: a command that goes on would hold its run's lock against the next launch
    if orders.unfinished_tasks:
        os._exit(1)
    orders.put(None)


def main() -> None:
    """Do what is ordered until the orders end."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    orders: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_read, args=(orders,), daemon=True).start()
    try:
        while (line := orders.get()) is not None:
            order = json.loads(line)
            answers.write(f"{run_logged(order['command'], order['log'])}\n")
            orders.task_done()
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


if __name__ == "__main__":
    main()
