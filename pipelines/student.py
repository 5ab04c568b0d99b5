"""Train the mono-modal student, and its teacher if there is none; score both and print them side by side."""

from kd_monai.config.command import run_command
from kd_monai.config.variables import read_variables
from kd_monai.report import report
from kd_monai.training.roles import (
    check_student,
    evaluate_run,
    predict_line,
    train_student,
    train_teacher,
)


def main() -> None:
    """Parse, call, print."""
    given = read_variables(__doc__)
    check_student(given)
    runs = []
    if not given.teacher and given.method != "baseline":
        runs.append(train_teacher(given))
        given.teacher = str(runs[0].path)  # FORCE=1 trains it once
    runs.append(train_student(given))
    for run in runs:
        evaluate_run(run, given)
    print(report.short(runs[-1].path.parent, [run.path for run in runs]))
    print(predict_line(runs[-1].path, given.modality))


if __name__ == "__main__":
    run_command(main)
