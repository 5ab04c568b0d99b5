"""MLflow's pages over the store of the runs."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path


def serve(uri: str, host: str = "127.0.0.1", port: int = 5000) -> int:
    """Serve the store `uri` at ``http://host:port`` until interrupted; return the server's exit status.

    Raises:
        ValueError: when `uri` is a server already.
        OSError: when the port is taken.
    """
    if uri.startswith("http"):
        raise ValueError(
            f"What is served must be a database; MLFLOW_TRACKING_URI is {uri}, a server. Open it in a browser."
        )
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise OSError(
                f"The port must be free; {host}:{port} is not ({error}). Choose another with PORT=."
            ) from error
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--backend-store-uri",
        uri,
        "--host",
        host,
        "--port",
        str(port),
    ]
    # what others log through this server lies beside the database too
    artifacts = Path(uri.removeprefix("sqlite:///")).parent / "mlartifacts" if uri.startswith("sqlite:///") else None
    command += ["--artifacts-destination", str(artifacts)] if artifacts else []
    # one worker and no job runner: one reader looks at one file
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    try:
        return subprocess.call([*command, "--workers", "1"], env=os.environ | quiet)
    except KeyboardInterrupt:
        return 0
