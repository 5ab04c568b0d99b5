from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

import pytest

from kd_monai.tracking.journal import Journal, Line
from kd_monai.tracking.sender import Sender


class Shelf:
    """A destination that remembers; `broken` makes it fail."""

    def __init__(self) -> None:
        self.sent = 0
        self.lines: list[Line] = []
        self.broken = False

    def deliver(self, line: Line, end: int) -> None:
        if self.broken:
            raise ConnectionError("broken")
        self.lines.append(line)
        self.sent = end


def tell(journal: Journal, sender: Sender, *numbers: int) -> None:
    for number in numbers:
        journal.append({"op": "tags", "values": {"number": number}})
        sender.wake()


def numbers(shelf: Shelf) -> list[int]:
    return [line["values"]["number"] for line in shelf.lines]


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.jsonl")


def test_lines_arrive_once_and_in_order(journal: Journal) -> None:
    shelf = Shelf()
    sender = Sender(journal, lambda: shelf)
    tell(journal, sender, 0, 1)
    sender.start()
    tell(journal, sender, *range(2, 20))
    assert sender.close(5)
    assert numbers(shelf) == list(range(20))


def test_a_line_arrives_without_a_flush(journal: Journal) -> None:
    shelf = Shelf()
    sender = Sender(journal, lambda: shelf)
    sender.start()
    assert sender.flush(5)
    tell(journal, sender, 1)
    until = time.monotonic() + 5
    while not shelf.lines and time.monotonic() < until:
        time.sleep(0.01)
    assert numbers(shelf) == [1]
    sender.close(5)


def test_a_training_has_a_head_start_that_a_flush_ends(journal: Journal) -> None:
    shelf = Shelf()
    sender = Sender(journal, lambda: shelf, head_start_s=60)
    tell(journal, sender, 0)
    sender.start()
    tell(journal, sender, 1)
    time.sleep(0.1)
    assert not shelf.lines
    assert sender.flush(5)
    assert numbers(shelf) == [0, 1]
    tell(journal, sender, 2)
    assert sender.close(5)
    assert numbers(shelf) == [0, 1, 2]


def test_a_failure_is_one_warning_and_the_lines_arrive_later(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    shelf = Shelf()
    shelf.broken = True
    sender = Sender(journal, lambda: shelf, retry_s=0.02)
    tell(journal, sender, 0, 1)
    with caplog.at_level(logging.WARNING):
        sender.start()
        assert not sender.flush(5)
        time.sleep(0.2)
        shelf.broken = False
        tell(journal, sender, 2)
        until = time.monotonic() + 5
        while len(shelf.lines) < 3 and time.monotonic() < until:
            time.sleep(0.01)
    assert numbers(shelf) == [0, 1, 2]
    assert len(caplog.records) == 1
    assert str(journal.path) in caplog.text
    assert sender.close(5)


def test_a_destination_that_fails_at_once_does_not_hold_up_a_flush(journal: Journal) -> None:
    def refuse() -> Shelf:
        raise ConnectionError("refused")

    sender = Sender(journal, refuse, retry_s=60)
    tell(journal, sender, 0)
    sender.start()
    began = time.monotonic()
    assert not sender.close(30)
    assert time.monotonic() - began < 2
    assert isinstance(sender.error, ConnectionError)


def test_a_destination_that_hangs_holds_up_a_flush_for_its_timeout_only(journal: Journal) -> None:
    release = threading.Event()

    def hang() -> Shelf:
        release.wait(30)
        return Shelf()

    sender = Sender(journal, hang)
    tell(journal, sender, 0)
    sender.start()
    began = time.monotonic()
    assert not sender.flush(0.2)
    assert time.monotonic() - began < 2
    release.set()
    assert sender.close(5)


def test_a_line_that_was_cut_short_does_not_hold_up_a_flush(journal: Journal) -> None:
    shelf = Shelf()
    sender = Sender(journal, lambda: shelf)
    tell(journal, sender, 0)
    with journal.path.open("a") as file:
        file.write('{"op": "ta')
    sender.start()
    assert sender.close(5)
    assert numbers(shelf) == [0]


def test_closing_twice_or_without_a_start_returns(journal: Journal) -> None:
    sender = Sender(journal, Shelf)
    assert sender.close(30) is False
    sender = Sender(journal, Shelf)
    sender.start()
    assert sender.close(5)
    assert sender.close(5)
