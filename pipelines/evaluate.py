"""Score finished runs on their test folds: one (--run), or all of a folder that have no scores yet (--out)."""

import argparse
import sys
from pathlib import Path
from pickle import UnpicklingError

from kd_monai.config.command import run_command
from kd_monai.export.run_bundle import finished_runs
from kd_monai.report import report
from kd_monai.training.score import score


def main() -> None:
    """Parse, call, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs"), help="folder of the runs (default %(default)s)")
    parser.add_argument("--run", type=Path, help="score this run alone")
    parser.add_argument("--data", help="where the data lies now, if it has moved")
    parser.add_argument("--device", help="cpu, cuda, cuda:1")
    parser.add_argument("--force", action="store_true", help="score again what is scored")
    given = parser.parse_args()
    overrides = {"dataset_dir": given.data, "device": given.device}
    overrides = {name: value for name, value in overrides.items() if value}
    folders = [given.run] if given.run else finished_runs(given.out)
    if not folders:
        raise ValueError(
            f"OUT must hold finished trainings; {given.out.resolve()} holds none. Train first (make student, with this "
            "OUT), or correct OUT."
        )
    scored, complaints = [], []
    for folder in folders:
        try:
            scored.append(score(folder, overrides, given.force))
        except (ValueError, OSError, RuntimeError, UnpicklingError) as problem:  # data elsewhere, damaged weights
            complaints.append(f"{folder.name} was not scored. {type(problem).__name__}: {problem}")
    if complaints and not any(scored):
        raise ValueError("\n".join(complaints))
    chosen = [path.parent for path in scored if path] if given.run else None
    try:
        print(report.short(given.out, chosen) if any(scored) else report.NOTHING)
    finally:
        sys.stdout.flush()
        sys.stderr.write("".join(f"\n{complaint}\n" for complaint in complaints))
    if complaints:
        sys.exit(1)


if __name__ == "__main__":
    run_command(main)
