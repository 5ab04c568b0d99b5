"""Whether the store of the runs answers, and MLflow's pages over it."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from kd_monai.errors import UserError

logger = logging.getLogger(__name__)

PATIENCE_S = 10
# one worker and no job runner: one reader looks at one file; Starlette's deprecations are MLflow's business
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "PYTHONWARNINGS": "ignore::UserWarning",
}


def require_answer(uri: str) -> None:
    """Raise ConnectionError within seconds where MLflow's client would try for minutes."""
    # the client reads these at each request; the sender repeats what failed
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    if not uri.startswith("http"):
        return
    import requests

    try:
        requests.get(f"{uri.rstrip('/')}/health", timeout=3)
    except requests.exceptions.SSLError:
        return  # it answers; MLflow has its own settings for certificates
    except requests.exceptions.RequestException as error:
        raise ConnectionError(f"no answer from {uri}: {error}") from error


def serve(uri: str, host: str = "127.0.0.1", port: int = 5000) -> int:
    """Serve the store `uri` at ``http://host:port`` until SIGINT, SIGTERM or SIGHUP; return the server's exit status.

    The server has a session of its own, so that a terminal's Ctrl-C reaches this process alone, which ends it.

    Raises:
        UserError: `uri` is a server already, or a SQLite file that is not there; or the port is taken.
    """
    if uri.startswith("http"):
        raise UserError(
            f"What is served must be a database; MLFLOW_TRACKING_URI is {uri}, a server. Open it in a browser."
        )
    database = Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None
    if database is not None and not database.is_file():
        raise UserError(
            f"What is served must be there; {database} does not exist: no training has told MLflow of a run there. "
            "Train first (make student), or correct OUT."
        )
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise UserError(
                f"The port must be free; {host}:{port} is not ({error}). Choose another with PORT=."
            ) from error
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri, "--host", host]
    command += ["--port", str(port), "--workers", "1"]
    # what others log through this server lies beside the database too
    command += ["--artifacts-destination", str(database.parent / "mlartifacts")] if database is not None else []
    logger.info("MLflow shows %s at http://%s:%d (Ctrl-C ends it).", uri, host, port)
    logger.info("Switch its upper left corner from GenAI to 'Model training' and open the experiment.")
    return _until_stopped(command)


def _until_stopped(command: list[str]) -> int:
    """Run a command in a session of its own; at SIGINT, SIGTERM and SIGHUP end all of that session, with status 0."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, stop) for number in numbers}
    process: subprocess.Popen[bytes] | None = None
    try:
        process = subprocess.Popen(command, env=os.environ | QUIET, start_new_session=True)
        return process.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        for number in before:
            signal.signal(number, signal.SIG_IGN)  # it is ending already
        if process is not None:
            _end(process)
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End what is left of a session; what does not listen is killed."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        os.killpg(process.pid, number)
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            continue
