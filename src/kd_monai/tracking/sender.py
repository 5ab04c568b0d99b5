"""A thread that carries a journal's lines to where they shall go, in order and at least once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Protocol

from kd_monai.tracking.journal import Journal, Line

logger = logging.getLogger(__name__)


class Destination(Protocol):
    """Where lines go. `sent` is the byte of the journal up to which it has them, also after a restart."""

    sent: int

    def deliver(self, line: Line, end: int) -> None:
        """Take one line and remember `end` as sent; taking the same line twice changes nothing."""


class Sender:
    """Deliver a journal from a daemon thread.

    After a failure it waits `retry_s` seconds, connects anew and goes on where it stopped.

    Args:
        journal: what to deliver; lines appended later are delivered after a `wake`.
        connect: opens the destination, in the thread, for it may be slow.
        retry_s: pause after a failure, in seconds.
        head_start_s: pause before the first connection, in seconds; a `flush` ends it. To import MLflow holds the
            interpreter for a second, and a training's first step shall not wait for it.
    """

    def __init__(
        self, journal: Journal, connect: Callable[[], Destination], retry_s: float = 30.0, head_start_s: float = 0.0
    ) -> None:
        self.error: Exception | None = None
        self._journal = journal
        self._connect = connect
        self._retry_s = retry_s
        self._head_start_s = head_start_s
        self._changed = threading.Condition()
        self._sent = -1
        self._failures = 0
        self._urgent = False
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="kd_monai-sender", daemon=True)

    @property
    def started(self) -> bool:
        """Whether `start` was called."""
        return self._thread.ident is not None

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """Say that there are new lines; after a failure they wait until the pause is over."""
        with self._changed:
            self._changed.notify_all()

    def flush(self, timeout_s: float) -> bool:
        """Try at once to deliver all that the journal holds now; False after a failure or after `timeout_s` seconds."""
        size = self._journal.size
        if not self._thread.is_alive():
            return self._sent >= size
        with self._changed:
            failures, self._urgent = self._failures, True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._sent >= size or self._failures > failures, timeout_s)
            return self._sent >= size

    def close(self, timeout_s: float) -> bool:
        """Flush, then let the thread end."""
        done = self.flush(timeout_s)
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        return done

    def _run(self) -> None:
        destination: Destination | None = None
        with self._changed:
            self._changed.wait_for(lambda: self._urgent or self._closing, self._head_start_s)
        while not self._closing:
            try:
                destination = destination or self._connect()
                self._deliver_all(destination)
            except Exception as error:  # whatever a server, a driver or a disk throws: training goes on
                destination = None
                self._fail(error)
            else:
                with self._changed:
                    self._changed.wait_for(lambda: self._urgent or self._closing or self._journal.size > self._sent)
                    self._urgent = False

    def _deliver_all(self, destination: Destination) -> None:
        size = self._journal.size
        self._progress(destination.sent)
        for line, end in self._journal.read(destination.sent):
            destination.deliver(line, end)
            self._progress(end)
        self._progress(max(size, destination.sent))  # a line that was cut short is never delivered

    def _progress(self, sent: int) -> None:
        with self._changed:
            self._sent, self.error = sent, None
            self._changed.notify_all()

    def _fail(self, error: Exception) -> None:
        if self._failures == 0:
            logger.warning(
                "The tracking store must answer; got %s: %s. The run goes on; %s keeps every line, to be sent when the "
                "store answers or by the next launch.",
                type(error).__name__,
                error,
                self._journal.path,
            )
        with self._changed:
            self.error = error
            self._failures += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._urgent or self._closing, self._retry_s)
            self._urgent = False
