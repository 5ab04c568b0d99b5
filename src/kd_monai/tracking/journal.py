"""The record that a run keeps of itself in its folder: a journal of what happened, how long each phase took,
and the names and lengths that MLflow takes of it.
"""

from __future__ import annotations

import json
import logging
import os
import posixpath
import re
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kd_monai.atomic import write_json
from kd_monai.errors import UserError
from kd_monai.phases import stopwatch

logger = logging.getLogger(__name__)

Line = dict[str, Any]
DURATIONS = "durations.json"
LONGEST_PARAM = 500  # what older servers take; config.yaml holds the whole
LONGEST_TAG = 5000
LEGAL_NAME = re.compile(r"[A-Za-z0-9_\-. :/]{1,250}")


class Journal:
    """Append-only file of JSON lines that knows which metrics and parameters it already holds.

    A line is on disk before anybody else hears of it. One that a killed process left half written is skipped by every
    reader, and the next line has a row of its own.

    Args:
        path: the file; its folder is made if needed. An existing file is read and continued.

    Attributes:
        header: the first line, of the kind `run`; None in a new journal.
        params: parameters that it holds, the last value of each.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.header: Line | None = None
        self._steps: set[tuple[bool, str, int]] = set()
        self.params: dict[str, str] = {}
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        for line, _ in self.read():
            self._remember(line)

    def append(self, line: Line) -> None:
        """Write one line and force it to the disk.

        Raises:
            ValueError: when the line holds NaN or an infinity, which JSON has no word for.
        """
        text = json.dumps(line, allow_nan=False) + "\n"
        with self._lock:
            if not _ends_with_newline(self.path):
                text = "\n" + text
            with self.path.open("a", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            self._remember(line)

    def read(self, offset: int = 0) -> Iterator[tuple[Line, int]]:
        """See `read_journal`."""
        return read_journal(self.path, offset)

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self.path.stat().st_size if self.path.is_file() else 0

    def new_metrics(self, values: dict[str, float], step: int, parent: bool = False) -> dict[str, float]:
        """Return those of `values` whose (key, step) the journal does not hold yet."""
        return {key: value for key, value in values.items() if (parent, key, step) not in self._steps}

    def new_params(self, values: dict[str, str]) -> dict[str, str]:
        """Return those of `values` that the journal holds neither equal nor at all."""
        return {key: value for key, value in values.items() if self.params.get(key) != value}

    def _remember(self, line: Line) -> None:
        if line["op"] == "run":
            self.header = self.header or line
        elif line["op"] == "metrics":
            self._steps.update((line.get("parent", False), key, line["step"]) for key in line["values"])
        elif line["op"] == "params":
            self.params.update(line["values"])


def read_journal(path: Path, offset: int = 0) -> Iterator[tuple[Line, int]]:
    """Each whole line of a journal from byte `offset` on, with the byte at which the next one starts."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        file.seek(offset)
        for row in file:
            if not row.endswith(b"\n"):
                return
            offset += len(row)
            line = _parse(row, path)
            if line is not None:
                yield line, offset


def read_durations(folder: Path) -> dict[str, float]:
    """Seconds by phase of a run, and those of the wall clock as `wall`; none where its folder tells of none."""
    return read_json(folder / DURATIONS)


def add_durations(folder: Path) -> dict[str, float]:
    """Add to the folder's file what this process has spent since it was last asked; returns the sums."""
    sums = read_durations(folder)
    for name, seconds in stopwatch.take().items():
        sums[name] = round(sums.get(name, 0) + seconds, 3)
    write_json(folder / DURATIONS, sums)
    return sums


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file; an empty dictionary where there is no such file."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _ends_with_newline(path: Path) -> bool:
    if not path.is_file() or path.stat().st_size == 0:
        return True
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _parse(row: bytes, path: Path) -> Line | None:
    if not row.strip():
        return None
    try:
        line = json.loads(row)
    except ValueError:
        logger.warning(
            "%s holds a line that was cut short, perhaps by a killed process; it is skipped: %r", path, row[:80]
        )
        return None
    return line if isinstance(line, dict) and "op" in line else None


def check_name(name: str) -> str:
    """Return a metric's or parameter's name that MLflow takes.

    Raises:
        UserError: for another one.
    """
    if not LEGAL_NAME.fullmatch(name) or posixpath.normpath(name) != name or name.startswith(("/", ".")):
        raise UserError(
            "A metric's or parameter's name must be 1 to 250 of letters, digits, '_', '-', '.', ':', space and '/', "
            f"and a clean relative path; got {name!r}. Write a modality subset with '-', as in t1-t2."
        )
    return name


def flat_params(values: Mapping[str, Any]) -> dict[str, str]:
    """Write nested parameters as ``a/b`` and every value as text, cut to what a server takes.

    >>> flat_params({"seed": 0, "optimizer": {"lr": 0.001}})
    {'seed': '0', 'optimizer/lr': '0.001'}
    """
    return {check_name(name): shortened(str(value), LONGEST_PARAM) for name, value in _leaves(values)}


def text_tags(values: Mapping[str, Any]) -> dict[str, str]:
    """Every value as text, cut to what a server takes."""
    return {check_name(name): shortened(str(value), LONGEST_TAG) for name, value in values.items()}


def shortened(text: str, longest: int) -> str:
    """Cut `text` so that it and the mark of the cut have `longest` characters."""
    return text if len(text) <= longest else text[: longest - 3] + "..."


def _leaves(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from ((f"{name}/{inner}", leaf) for inner, leaf in _leaves(value))
        else:
            yield name, value
