"""What a user did wrong is one message and status 2; a defect keeps its traceback."""

from __future__ import annotations

import pytest
import torch

from kd_monai.config.errors import run_command
from kd_monai.errors import UserError
from kd_monai.errors import UserError as DataError
from kd_monai.handlers import NaNLossError


def ended(error: BaseException) -> int:
    def main() -> None:
        raise error

    with pytest.raises(SystemExit) as stop:
        run_command(main)
    assert isinstance(stop.value.code, int)
    return stop.value.code


@pytest.mark.parametrize(
    "error",
    [
        ValueError("METHOD must be one of these"),
        DataError("a file is broken"),
        FileNotFoundError("no such folder"),
        BlockingIOError("another one holds the run"),
        NaNLossError("the loss must be finite"),
        UserError("TRACKING=required asks for a store that answers"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_mistake_of_the_users_is_one_message(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(error) == 2
    written = capsys.readouterr().err
    assert written.strip() == f"{type(error).__name__}: {error}"


def test_a_gpu_that_is_too_small_is_one_message_with_what_needs_less(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert said[0] == "OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB"
    assert "roi_size" in said[1]


def test_ctrl_c_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(KeyboardInterrupt()) == 130
    assert "continues from the last finished epoch" in capsys.readouterr().err


def test_a_defect_keeps_its_traceback() -> None:
    def main() -> None:
        raise KeyError("a defect")

    with pytest.raises(KeyError, match="a defect"):
        run_command(main)


def test_what_ends_well_returns() -> None:
    seen: list[int] = []
    run_command(lambda: seen.append(1))
    assert seen == [1]
