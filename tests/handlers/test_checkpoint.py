"""A training that was interrupted and continued is the undisturbed one, whatever happened to its newest checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from small_training import STEPS, SmallTraining

from kd_monai.handlers import ResumeHandler, save_atomically


class InterruptionError(Exception):
    """What ends a training in the middle."""


def train(folder: Path | None = None, *, stop: int | None = None, **settings: Any) -> SmallTraining:
    """Train to the end, or raise in the middle of the epoch behind `stop`."""
    training = SmallTraining(folder, **settings)
    if stop is not None:

        @training.trainer.on(Events.ITERATION_COMPLETED(once=stop * STEPS + 1))
        def interrupt(engine: Engine) -> None:
            raise InterruptionError

    try:
        training.trainer.run()
    except InterruptionError:
        assert stop is not None
    return training


def assert_equal(one: Any, other: Any, where: str = "") -> None:
    """Bit for bit, through nested state dicts."""
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for name in one:
            assert_equal(one[name], other[name], f"{where}/{name}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for i, pair in enumerate(zip(one, other, strict=True)):
            assert_equal(*pair, f"{where}/{i}")
    else:
        assert one == other, where


def assert_same_training(one: SmallTraining, other: SmallTraining) -> None:
    for name in ("network", "optimizer", "scheduler"):
        assert_equal(getattr(one, name).state_dict(), getattr(other, name).state_dict(), name)
    assert one.trainer.state.iteration == other.trainer.state.iteration


@cache
def undisturbed(schedule: str = "polynomial") -> SmallTraining:
    return train(schedule=schedule)


@pytest.mark.parametrize(("schedule", "stop"), [("polynomial", 1), ("polynomial", 2), ("plateau", 2)])
def test_interrupted_and_resumed_equals_undisturbed_bit_for_bit(schedule: str, stop: int, tmp_path: Path) -> None:
    interrupted = train(tmp_path, stop=stop, schedule=schedule)
    assert interrupted.trainer.state.epoch == stop + 1
    resumed = train(tmp_path, schedule=schedule)
    assert resumed.resume.resumed_epoch == stop
    assert_same_training(resumed, undisturbed(schedule))


def test_writing_checkpoints_changes_nothing_and_a_finished_training_goes_no_further(tmp_path: Path) -> None:
    assert_same_training(train(tmp_path), undisturbed())
    assert [path.name[:13] for path in sorted(tmp_path.iterdir())] == ["epoch_000002_", "epoch_000003_"]  # two are kept
    again = train(tmp_path)
    assert again.resume.resumed_epoch == 3
    assert_same_training(again, undisturbed())


def test_the_optimiser_has_stepped_once_per_iteration_and_was_never_rebuilt() -> None:
    assert {state["step"].item() for state in undisturbed().optimizer.state.values()} == {3 * STEPS}


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_a_byte_of_a_tensor(path: Path) -> None:
    """torch.load takes it without a word."""
    before = torch.load(path, weights_only=True)["network"]
    content = bytearray(path.read_bytes())
    weight = max(before.values(), key=torch.Tensor.numel).numpy().tobytes()
    place = content.index(weight)
    content[place + 2] ^= 0x40
    path.write_bytes(bytes(content))
    after = torch.load(path, weights_only=True)["network"]
    assert any(not torch.equal(before[name], after[name]) for name in before)


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [truncate, flip_a_byte_of_a_tensor, empty])
def test_a_damaged_newest_checkpoint_costs_an_epoch_and_not_the_run(
    damage: Callable[[Path], None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train(tmp_path, stop=2)
    damage(sorted(tmp_path.glob("epoch_*.pt"))[-1])
    resumed = train(tmp_path)
    assert resumed.resume.resumed_epoch == 1
    assert "epoch_000002" in caplog.text
    assert_same_training(resumed, undisturbed())


def test_damaged_checkpoints_push_no_sound_one_out(tmp_path: Path) -> None:
    """Those of a run that began anew have lower numbers than the damaged ones of the run before."""
    engine = Engine(lambda engine, batch: None)
    for epoch in (5, 6):
        (tmp_path / f"epoch_{epoch:06d}_{'0' * 16}.pt").write_bytes(b"damaged")
    handler = ResumeHandler(tmp_path, {"thing": Remembers({"value": 1})})
    handler.load(engine)
    assert handler.resumed_epoch == 0
    for epoch in (1, 2, 3):
        engine.state.epoch, engine.state.iteration = epoch, epoch
        handler(engine)
        handler.load(engine)
        assert handler.resumed_epoch == epoch
    assert [path.name[:13] for path in sorted(tmp_path.iterdir())] == ["epoch_000002_", "epoch_000003_"]


def test_a_new_run_begins_without_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    handler = ResumeHandler(tmp_path / "none", {})
    handler.load(Engine(lambda engine, batch: None))
    assert handler.resumed_epoch == 0
    assert not caplog.records


class Remembers:
    def __init__(self, state: dict[str, Any]) -> None:
        self.state = state

    def state_dict(self) -> dict[str, Any]:
        return self.state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.state = state


def test_nothing_executable_is_read_out_of_a_checkpoint(tmp_path: Path) -> None:
    """As PyTorch's weights_only has it: numpy's random state, for one, is refused."""
    engine = Engine(lambda engine, batch: None)
    engine.state.epoch, engine.state.iteration = 1, 1
    ResumeHandler(tmp_path, {"random": Remembers({"numpy": np.random.get_state()})})(engine)
    with pytest.raises(Exception, match=r"[Ww]eights.only"):
        ResumeHandler(tmp_path, {"random": Remembers({})}).load(engine)


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.pt"
    save_atomically({"weight": torch.ones(3)}, path)

    def half(content: Any, file: Any) -> None:
        file.write(b"half a file")
        raise OSError("no space left on device")

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(OSError, match="no space"):
        save_atomically({"weight": torch.zeros(3)}, path)
    monkeypatch.undo()
    assert torch.equal(torch.load(path, weights_only=True)["weight"], torch.ones(3))
    assert list(tmp_path.iterdir()) == [path]
