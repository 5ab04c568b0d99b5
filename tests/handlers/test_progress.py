"""One bar, which starts where the run does."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events

from kd_monai.handlers import ProgressHandler


def run(
    *,
    resumed: int = 0,
    epochs: int = 3,
    steps: int = 4,
    validator: Any = None,
    fail: bool = False,
    refuse: bool = False,
) -> Engine:
    engine = Engine(lambda engine, batch: {"loss": torch.tensor(0.25 * engine.state.epoch)})
    ProgressHandler("kdnet_t1ce", validator).attach(engine)

    @engine.on(Events.STARTED)  # attached behind the bar, as the handler that resumes is
    def resume(engine: Engine) -> None:
        engine.state.epoch, engine.state.iteration = resumed, resumed * steps

    if fail:
        engine.add_event_handler(Events.EPOCH_COMPLETED(once=2), lambda: 1 / 0)
    if refuse:
        engine.add_event_handler(Events.ITERATION_STARTED, lambda: 1 / 0)
    engine.run(range(steps), max_epochs=epochs)
    return engine


def lines(captured: pytest.CaptureFixture[str]) -> list[str]:
    return [line.split("\r")[-1] for line in captured.readouterr().err.splitlines() if line.strip()]


def test_a_log_gets_a_line_per_epoch_with_loss_and_latest_dice(capsys: pytest.CaptureFixture[str]) -> None:
    run(validator=SimpleNamespace(state=SimpleNamespace(metrics={"dice_mean": 0.7123})))
    written = lines(capsys)
    for epoch, loss in ((1, "0.250"), (2, "0.500"), (3, "0.750")):
        (line,) = [line for line in written if f"epoch={epoch}/3" in line][:1]
        assert f"loss={loss}" in line
        assert "val_dice=0.712" in line
        assert f"{4 * epoch}/12" in line
        assert line.startswith("kdnet_t1ce")


def test_a_resumed_run_starts_where_it_stopped(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever the order in which handlers were attached."""
    run(resumed=2)
    written = lines(capsys)
    assert any("12/12" in line for line in written)
    assert not any("16/12" in line or "4/12" in line.split("|")[-1].split("[")[0] for line in written)
    assert not any("epoch=1/3" in line for line in written)


def test_a_finished_run_shows_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    run(resumed=3)
    assert not lines(capsys)


def test_a_run_that_is_refused_in_its_first_step_leaves_no_bar_behind_the_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(ZeroDivisionError):
        run(refuse=True)
    assert not [line for line in lines(capsys) if "kdnet_t1ce" in line]


def test_before_the_first_validation_no_dice_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    run(validator=SimpleNamespace(state=SimpleNamespace(metrics={})))
    assert "val_dice" not in capsys.readouterr().err


def test_an_evaluation_of_one_epoch_counts_cases_and_names_no_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    run(epochs=1)
    assert "epoch=" not in capsys.readouterr().err


def test_a_terminal_gets_one_bar_and_no_line_per_epoch(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    run()
    assert capsys.readouterr().err.count("\n") == 1


def test_an_exception_goes_through(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError):
        run(fail=True)


def test_the_bar_of_a_run_that_failed_moves_no_later_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with pytest.raises(ZeroDivisionError) as kept:  # its traceback keeps the bar
        run(fail=True)
    capsys.readouterr()
    run()
    assert capsys.readouterr().err.count("\n") == 1
    del kept
