"""Serve MLflow's pages on the runs of a folder, on this machine alone: python pipelines/serve.py --out runs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from kd_monai.config.command import run_command
from kd_monai.tracking import serve, tracking_uri


def main() -> None:
    """Parse, call, done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--out", type=Path, default=Path("runs"), help="folder of the runs; MLFLOW_TRACKING_URI beats it"
    )
    parser.add_argument("--port", type=int, default=5000)
    arguments = parser.parse_args()
    sys.exit(serve(tracking_uri(arguments.out), port=arguments.port))


if __name__ == "__main__":
    run_command(main)
