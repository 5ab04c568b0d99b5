"""Write a synthetic data set in the BraTS 2018 layout: `python pipelines/phantom.py --out data/phantom`."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from kd_monai.phantom import write_phantom


def main(arguments: list[str] | None = None) -> None:
    """Parse, call, say where the data lie."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the data set; a complete one is kept")
    parser.add_argument("--subjects", type=int, default=30, help="number of subjects (default %(default)s)")
    parser.add_argument("--spacing-mm", type=int, choices=(1, 2), default=2, help="voxel side (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the data set (default %(default)s)")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        folder = write_phantom(options.out, options.subjects, options.spacing_mm, options.seed)
    except (ValueError, FileExistsError) as problem:
        parser.exit(2, f"{problem}\n")
    print(f"phantom: {options.subjects} subjects at {options.spacing_mm} mm in {folder}")


if __name__ == "__main__":
    main()
