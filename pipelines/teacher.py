"""Train the multi-modal teacher of a data set and split, and score it on its test fold.

With TEACHERS=crossfit those of the inner folds are trained too, which a cross-fitted student needs beside it.
"""

from kd_monai.config.command import run_command
from kd_monai.config.variables import read_variables
from kd_monai.report import report
from kd_monai.training.roles import evaluate_run, train_teachers


def main() -> None:
    """Parse, call, print."""
    given = read_variables(__doc__)
    teacher, *_ = train_teachers(given)
    evaluate_run(teacher, given)
    print(report.short(teacher.path.parent, [teacher.path]))


if __name__ == "__main__":
    run_command(main)
