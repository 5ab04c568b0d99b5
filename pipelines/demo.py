"""Teacher, baseline and student (T1ce, KD-Net) of one data set in one table, with the best fixed mask beside them."""

import time

from kd_monai.config.command import run_command
from kd_monai.config.variables import read_variables
from kd_monai.report import report
from kd_monai.report.fixed_mask import write_fixed_mask
from kd_monai.training.roles import (
    check_student,
    evaluate_run,
    predict_line,
    train_baseline,
    train_student,
    train_teacher,
)


def main() -> None:
    """Parse, call, print."""
    given = read_variables(__doc__)
    began = time.monotonic()
    check_student(given)
    runs = []
    for step, train in enumerate((train_teacher, train_baseline, train_student), start=1):
        minutes = (time.monotonic() - began) / 60
        print(f"{step}/3 {train.__name__.removeprefix('train_')}, after {minutes:.1f} minutes", flush=True)
        runs.append(train(given))
        evaluate_run(runs[-1], given)
        given.teacher = given.teacher or str(runs[0].path)  # FORCE=1 trains it once
    if runs[-1].record["n_test"]:
        write_fixed_mask(runs[-1].path, runs[-1].datalist)
        print(report.short(runs[-1].path.parent))
    else:
        print(report.NOTHING)
    print(predict_line(runs[-1].path, given.modality))
    print(f"{(time.monotonic() - began) / 60:.1f} minutes. The runs: make mlflow OUT={runs[-1].path.parent}")


if __name__ == "__main__":
    run_command(main)
