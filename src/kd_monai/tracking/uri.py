"""Where a store is, and whether it answers."""

from __future__ import annotations

import os
from pathlib import Path


def tracking_uri(out: Path, uri: str | None = None) -> str:
    """Where the runs in `out` are told: `uri`, else MLFLOW_TRACKING_URI, else SQLite in `out`; its path absolute."""
    uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{out.resolve()}/mlruns.db"
    if uri.startswith("sqlite:///"):
        uri = f"sqlite:///{Path(uri.removeprefix('sqlite:///')).resolve()}"
    return uri


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
