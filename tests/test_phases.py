"""Every second of a process is counted once, whatever lies inside whatever."""

from __future__ import annotations

import pytest

from kd_monai.phases import Stopwatch


class Clock:
    """Tells the seconds it was given."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watch(clock: Clock) -> Stopwatch:
    return Stopwatch(used_s=2, clock=clock)


def test_what_comes_before_the_first_phase_is_start_up_the_interpreters_seconds_included(
    clock: Clock, watch: Stopwatch
) -> None:
    clock.sleep(3)
    with watch.phase("training"):
        clock.sleep(1)
    assert watch.take() == {"start-up": 5, "training": 1, "wall": 6}


def test_a_phase_interrupts_the_one_around_it(clock: Clock, watch: Stopwatch) -> None:
    with watch.phase("training"):
        clock.sleep(1)
        for _ in range(2):
            with watch.phase("validation"):
                clock.sleep(10)
            clock.sleep(1)
    assert watch.take() == {"start-up": 2, "training": 3, "validation": 20, "wall": 25}


def test_between_phases_the_wall_clock_alone_goes_on(clock: Clock, watch: Stopwatch) -> None:
    with watch.phase("training"):
        clock.sleep(1)
    clock.sleep(4)
    assert watch.take() == {"start-up": 2, "training": 1, "wall": 7}


def test_what_was_taken_is_not_taken_again_and_an_open_phase_goes_on(clock: Clock, watch: Stopwatch) -> None:
    with watch.phase("training"):
        clock.sleep(1)
        assert watch.take() == {"start-up": 2, "training": 1, "wall": 3}
        clock.sleep(5)
    assert watch.take() == {"training": 5, "wall": 5}


def test_an_exception_ends_the_phases_that_it_leaves_open(clock: Clock, watch: Stopwatch) -> None:
    """An engine's handler of COMPLETED is not called where its step raises."""

    @watch.phase("set-up")
    def train() -> None:
        watch.enter("training")
        watch.enter("validation")
        clock.sleep(1)
        raise ValueError

    for _ in range(2):
        with pytest.raises(ValueError):  # noqa: PT011
            train()
    with watch.phase("scoring"):
        clock.sleep(1)
    assert watch.take() == {"start-up": 2, "set-up": 0, "training": 0, "validation": 2, "scoring": 1, "wall": 5}
