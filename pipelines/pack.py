"""Write the scored runs of a folder into one text file: python pipelines/pack.py --out runs --file F."""

from __future__ import annotations

import argparse
from pathlib import Path

from kd_monai.config.command import run_command
from kd_monai.runs.archive import pack


def main() -> None:
    """Parse, call, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs"), help="folder of the runs (default %(default)s)")
    parser.add_argument("--file", type=Path, required=True, help="is replaced; .xz: compressed")
    given = parser.parse_args()
    print(f"{pack(given.out, given.file)} runs of {given.out} are in {given.file}")


if __name__ == "__main__":
    run_command(main)
