"""A user's mistake is one message and status 2; a defect keeps its traceback."""

from __future__ import annotations

import pytest
import torch

from kd_monai.config.errors import component_errors, run_command
from kd_monai.errors import UserError


def raising(error: BaseException) -> int:
    def main() -> None:
        raise error

    return run_command(main)


@pytest.mark.parametrize("error", [UserError("a rule"), FileNotFoundError("a file"), BlockingIOError("a lock")])
def test_a_mistake_of_the_user_is_one_message(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    assert raising(error) == 2
    assert capsys.readouterr().err == f"\n{type(error).__name__}: {error}\n"


@pytest.mark.parametrize("error", [ValueError("a defect"), KeyError("a defect"), RuntimeError("a defect")])
def test_a_defect_keeps_its_traceback(error: Exception) -> None:
    with pytest.raises(type(error), match="a defect"):
        raising(error)


def test_too_little_memory_says_what_needs_less(capsys: pytest.CaptureFixture[str]) -> None:
    assert raising(torch.OutOfMemoryError("CUDA out of memory")) == 2
    assert "roi_size" in capsys.readouterr().err


def test_an_interruption_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert raising(KeyboardInterrupt()) == 130
    assert "same command continues" in capsys.readouterr().err


def test_a_status_of_the_command_is_its_own() -> None:
    assert run_command(lambda: None) == 0
    assert run_command(lambda: 1) == 1


def test_what_a_component_raised_comes_out_without_what_monai_says_around_it() -> None:
    wrapped = RuntimeError("Failed to instantiate")
    wrapped.__cause__ = UserError("its own")
    with pytest.raises(UserError, match="its own"), component_errors():
        raise wrapped
    with pytest.raises(RuntimeError, match="another"), component_errors():
        raise RuntimeError("another")
