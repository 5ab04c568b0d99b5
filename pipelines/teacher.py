"""Train the multi-modal teacher of a data set and split, and score it on its test fold."""

from kd_monai.study.command import run_command
from kd_monai.study.roles import evaluate_run, side_by_side, train_teacher
from kd_monai.study.variables import read_variables


def main() -> None:
    """Parse, call, print."""
    given = read_variables(__doc__)
    teacher = train_teacher(given)
    evaluate_run(teacher, given)
    print(side_by_side([teacher]))


if __name__ == "__main__":
    run_command(main)
