"""Rank methods on the validation parts of their runs, without a look at a test fold: python pipelines/choose.py."""

from __future__ import annotations

import argparse
from pathlib import Path

from kd_monai.config.command import run_command
from kd_monai.report.selection import choose


def main() -> None:
    """Parse, call, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs"), help="folder of the runs (default %(default)s)")
    parser.add_argument("--methods", default="", help="these methods alone, joined by ',' (default all)")
    options = parser.parse_args()
    print(choose(options.out, {name.strip() for name in options.methods.split(",")} - {""}))


if __name__ == "__main__":
    run_command(main)
