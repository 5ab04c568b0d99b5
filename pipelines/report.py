"""What each method gains over the baseline of its modality, with the proof: python pipelines/report.py --out runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from kd_monai.config.command import run_command
from kd_monai.report.publish import place_of, write_results
from kd_monai.report.report import report


def main() -> None:
    """Parse, call, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs"), help="folder of the runs (default %(default)s)")
    parser.add_argument("--readme", type=Path, help="also write the results into this Markdown file")
    options = parser.parse_args()
    if options.readme:
        place_of(options.readme, options.out)  # refused before a minute has gone by
    found = report(options.out)
    print(found.text)
    found.publish()
    if options.readme:
        write_results(options.readme, found.results, options.out)


if __name__ == "__main__":
    run_command(main)
