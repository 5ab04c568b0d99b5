"""Train a grid of teachers, baselines and students, and compare them: the same command continues where it stopped."""

import sys
from pathlib import Path

from kd_monai.config.command import run_command
from kd_monai.grid.cells import plan
from kd_monai.grid.executor import run_cells
from kd_monai.grid.grid import read_grid
from kd_monai.grid.ledger import Ledger
from kd_monai.grid.runner import make_runner
from kd_monai.report import report
from kd_monai.training.grid_data import check_grid, read_data


def main() -> None:
    """Parse, check, run, report."""
    grid = read_grid(__doc__)
    cells = plan(grid, *read_data(grid))
    check_grid(grid)
    out = Path(grid.given.out)
    ledger = Ledger(out, cells)
    outcome = run_cells(cells, ledger, make_runner(grid))
    try:
        if outcome.finished:
            print(report.short(out))
        if any(cell.pipeline != "teacher" and ledger.state(cell.name) == "finished" for cell in cells):
            print(f"\n{report.report(out)}")
    finally:  # what failed is said whether or not the rest can be compared
        if outcome.complaint:
            sys.stdout.flush()
            sys.stderr.write(f"\n{outcome.complaint}\n")
    if outcome.complaint:
        sys.exit(1)


if __name__ == "__main__":
    run_command(main)
