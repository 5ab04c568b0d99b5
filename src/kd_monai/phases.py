"""How long each phase of this process took: start-up, data check, caching, training, validation, scoring, ..."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

WALL = "wall"
START_UP = "start-up"


class Stopwatch:
    """Seconds by phase, each counted once: a phase inside another interrupts it.

    Until the first phase begins the process starts up; what lies between phases counts for the wall clock alone.

    Args:
        used_s: seconds that had passed before it was made.
        clock: tells seconds.

    >>> ticks = iter(range(10))
    >>> watch = Stopwatch(clock=lambda: next(ticks))
    >>> with watch.phase("training"):
    ...     with watch.phase("validation"):
    ...         pass
    >>> watch.take()
    {'start-up': 1, 'training': 2, 'validation': 1, 'wall': 5}
    """

    def __init__(self, used_s: float = 0, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._seconds: dict[str, float] = {}
        self._open: list[str] = []
        self._starting = True
        self._taken = self._since = clock() - used_s

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """What happens inside is of this phase; also a decorator."""
        depth = self.enter(name)
        try:
            yield
        finally:
            self.leave(depth)

    def enter(self, name: str) -> int:
        """Begin a phase; returns what ends it."""
        self._count()
        self._starting = False
        self._open.append(name)
        return len(self._open) - 1

    def leave(self, depth: int) -> None:
        """End a phase, and those inside it that an exception has left open."""
        self._count()
        del self._open[depth:]

    def take(self) -> dict[str, float]:
        """Seconds by phase since the last call, and those of the wall clock as `wall`."""
        self._count()
        taken = {**self._seconds, WALL: self._since - self._taken}
        self._taken, self._seconds = self._since, {}
        return taken

    def _count(self) -> None:
        now = self._clock()
        name = START_UP if self._starting else self._open[-1] if self._open else None
        if name is not None:
            self._seconds[name] = self._seconds.get(name, 0) + now - self._since
        self._since = now


# an interpreter that has only imported so far has been busy all the time
stopwatch = Stopwatch(used_s=time.process_time())
phase = stopwatch.phase
