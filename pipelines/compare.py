"""Compare the evaluated teacher, baseline and students of a folder of runs: python pipelines/compare.py --out runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from kd_monai.config.command import run_command
from kd_monai.report import report
from kd_monai.task import parse_modalities


def main() -> None:
    """Parse, call, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs"), help="folder of the runs (default %(default)s)")
    parser.add_argument("--modality", default="", help="show what reads this alone, for example t1ce or t1-t2")
    parser.add_argument("--runs", type=Path, nargs="+", help="compare these run folders alone")
    options = parser.parse_args()
    modality = "-".join(parse_modalities(options.modality)) if options.modality else None
    print(report.short(options.out, options.runs, modality))


if __name__ == "__main__":
    run_command(main)
