"""What an epoch draws follows from (seed, epoch) and from nothing that came before."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events
from monai.utils import set_determinism
from small_training import augmented
from torch.nn import functional as F
from torch.utils.data import DataLoader

from kd_monai.data import EpochSampler
from kd_monai.handlers import EpochSeedHandler

N, STEPS, EPOCHS = 3, 4, 3


def visits(
    seed: int = 0, *, first_epoch: int = 1, disturb: bool = False, num_workers: int = 0
) -> dict[int, dict[str, Any]]:
    """Subjects, patches and dropout masks of each epoch, from `first_epoch` on."""
    sampler = EpochSampler(N, 2 * STEPS, seed)
    loader = DataLoader(augmented(seed), batch_size=2, sampler=sampler, num_workers=num_workers)
    seen: dict[int, dict[str, Any]] = {}

    def step(engine: Engine, batch: dict[str, Any]) -> None:
        epoch = seen.setdefault(engine.state.epoch, {"subjects": [], "patches": [], "dropout": []})
        epoch["subjects"] += batch["subject"]
        epoch["patches"].append(torch.cat([batch["image"], batch["label"]], 1))
        epoch["dropout"].append(F.dropout(torch.ones(50)))

    engine = Engine(step)
    EpochSeedHandler(seed).attach(engine)

    @engine.on(Events.STARTED)
    def resume(engine: Engine) -> None:
        engine.state.epoch, engine.state.iteration = first_epoch - 1, (first_epoch - 1) * STEPS

    if disturb:
        engine.add_event_handler(Events.EPOCH_COMPLETED, lambda: torch.rand(3))
    set_determinism(seed)
    engine.run(loader, max_epochs=EPOCHS)
    set_determinism(None)
    return seen


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one["subjects"] == other["subjects"] and all(
        torch.equal(a, b) for name in ("patches", "dropout") for a, b in zip(one[name], other[name], strict=True)
    )


@pytest.fixture(scope="module")
def undisturbed() -> dict[int, dict[str, Any]]:
    return visits()


def test_an_epoch_has_every_subject_and_no_two_epochs_are_alike(undisturbed) -> None:
    assert list(undisturbed) == [1, 2, 3]
    for epoch in undisturbed.values():
        assert len(epoch["subjects"]) == 2 * STEPS
        assert set(epoch["subjects"]) == {"s0", "s1", "s2"}
    for one, other in ((1, 2), (2, 3), (1, 3)):
        for name in ("patches", "dropout"):
            assert not torch.equal(undisturbed[one][name][0], undisturbed[other][name][0])


def test_a_start_at_a_later_epoch_sees_what_that_epoch_would_have_seen(undisturbed) -> None:
    """MONAI's set_determinism at the resumed start would replay the first epoch's order."""
    resumed = visits(first_epoch=2)
    assert list(resumed) == [2, 3]
    assert all(same(resumed[epoch], undisturbed[epoch]) for epoch in resumed)


def test_random_numbers_drawn_between_epochs_change_nothing(undisturbed) -> None:
    disturbed = visits(disturb=True)
    assert all(same(disturbed[epoch], undisturbed[epoch]) for epoch in undisturbed)


def test_two_workers_give_the_same_order_and_augmentation_as_none(undisturbed) -> None:
    with_workers = visits(num_workers=2)
    for epoch, seen in undisturbed.items():
        assert seen["subjects"] == with_workers[epoch]["subjects"]
        assert all(torch.equal(*pair) for pair in zip(seen["patches"], with_workers[epoch]["patches"], strict=True))
        assert all(torch.equal(*pair) for pair in zip(seen["dropout"], with_workers[epoch]["dropout"], strict=True))


def test_another_seed_gives_another_order_augmentation_and_dropout(undisturbed) -> None:
    other = visits(seed=1)
    assert any(other[epoch]["subjects"] != undisturbed[epoch]["subjects"] for epoch in other)
    assert not torch.equal(other[1]["patches"][0], undisturbed[1]["patches"][0])
    assert not torch.equal(other[1]["dropout"][0], undisturbed[1]["dropout"][0])


def test_a_loader_without_such_a_sampler_is_left_alone() -> None:
    engine = Engine(lambda engine, batch: torch.rand(1).item())
    EpochSeedHandler(0).attach(engine)
    assert engine.run([0], max_epochs=2).output == engine.run([0], max_epochs=2).output
