"""What each method gains over the baseline of its modality, with the proof: python pipelines/report.py --out runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from kd_monai.config.command import run_command
from kd_monai.report import report


def main() -> None:
    """Parse, call, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs"), help="folder of the runs (default %(default)s)")
    parser.add_argument("--readme", type=Path, help="also write the results into this Markdown file")
    options = parser.parse_args()
    print(report.report(options.out, options.readme))


if __name__ == "__main__":
    run_command(main)
