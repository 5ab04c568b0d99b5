"""Train the mono-modal baseline, the student's network on the reference alone, and score it on its test fold."""

from kd_monai.config.command import run_command
from kd_monai.config.variables import read_variables
from kd_monai.report import report
from kd_monai.training.roles import evaluate_run, train_baseline


def main() -> None:
    """Parse, call, print."""
    given = read_variables(__doc__)
    baseline = train_baseline(given)
    evaluate_run(baseline, given)
    print(report.short(baseline.path.parent, [baseline.path]))


if __name__ == "__main__":
    run_command(main)
