"""Write the runs of a packed file into a folder: python pipelines/unpack.py --file F --out runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from kd_monai.config.command import run_command
from kd_monai.runs.archive import unpack


def main() -> None:
    """Parse, call, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs"), help="folder of the runs (default %(default)s)")
    parser.add_argument("--file", type=Path, required=True, help="what pack.py wrote")
    given = parser.parse_args()
    written = unpack(given.file, given.out)
    print(f"{len(written)} runs of {given.file} are new in {given.out}; they have no weights")


if __name__ == "__main__":
    run_command(main)
