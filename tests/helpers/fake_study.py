"""A study whose jobs are `fake_verb`'s commands, on data that are not there: python fake_study.py NAME=value ..."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

import fake_verb
from small_run import datalist

from kd_monai.config import variables as table
from kd_monai.config.errors import run_command
from kd_monai.config.variables import read_command
from kd_monai.grid import workflow


def command_line(verb: str, variables: Mapping[str, str]) -> list[str]:
    """A command that starts within a tenth of a second."""
    return [sys.executable, "-S", fake_verb.__file__, *table.command_line(verb, variables)]


def fake_study(variables: Mapping[str, str], folds: tuple[int, ...] = (0, 1)) -> int:
    """`workflow.study` without data and trainings."""
    real = workflow.command_line, workflow.check, workflow.read_data
    workflow.command_line = command_line
    workflow.check = lambda job: None
    workflow.read_data = lambda command, kinds: (datalist(), list(command["FOLD"] or folds))
    try:
        return workflow.study(read_command(table.command_line("study", variables)))
    finally:
        workflow.command_line, workflow.check, workflow.read_data = real


if __name__ == "__main__":
    given = dict(word.split("=", 1) for word in sys.argv[1:])
    sys.stdout.write(f"{Path.cwd()} {shlex.join(sys.argv[1:])}\n")
    sys.stdout.flush()
    sys.exit(run_command(lambda: fake_study(given)))
