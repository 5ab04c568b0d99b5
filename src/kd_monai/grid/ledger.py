"""``study.json``: what has become of each cell of a study."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from kd_monai.atomic import write_json
from kd_monai.grid.cells import Cell
from kd_monai.tracking import read_durations

State = Literal["pending", "running", "finished", "failed", "blocked"]


class Ledger:
    """The cells of a study in ``OUT/study.json``, written whole and atomically at every change.

    It says where a cell's run is; whether that run is finished, its folder says. Folders are named relative to ``OUT``,
    so that a copy of it elsewhere goes on. Cells of other grids in the same ``OUT`` are kept under their names. A cell
    of another recipe, network or setting takes the place of its namesake; back at the first one, the command of each
    cell finds its finished run by the run's own key, within seconds.

    Args:
        out: folder of the runs.
        cells: of this grid.

    Raises:
        ValueError: the file is none of a study.
    """

    def __init__(self, out: Path, cells: list[Cell]) -> None:
        self.out = out
        self.path = out / "study.json"
        try:
            known = json.loads(self.path.read_text())["cells"] if self.path.is_file() else {}
            self._entries: dict[str, dict[str, Any]] = {name: dict(entry) for name, entry in known.items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{self.path} must be what a study wrote; it cannot be read: {error}. Remove it: finished runs are "
                "found again."
            ) from error
        for cell in cells:
            self._entries.setdefault(cell.name, {})
        done = self._done(cells)
        for cell in cells:
            entry = self._entries[cell.name]
            entry |= {"state": "finished" if cell.name in done else "pending", "message": ""}
            if entry.get("signature") != cell.signature:
                entry |= {"run": None, "seconds": None}
            entry |= {"signature": cell.signature, "teacher": cell.teacher}

    def _done(self, cells: list[Cell]) -> set[str]:
        """Names of the cells with nothing to do; a teacher without weights (`unpack`) has, where it is to teach."""
        done = {cell.name for cell in cells if self._is_done(cell)}
        to_teach = {cell.teacher for cell in cells if cell.name not in done} & done
        return done - {name for name in to_teach if not (self.run(name) / "model.pt").is_file()}

    def _is_done(self, cell: Cell) -> bool:
        """Whether the run that this very cell had is finished and scored, and has its bundle where it has weights."""
        entry = self._entries[cell.name]
        if entry.get("signature") != cell.signature or not entry.get("run"):
            return False
        folder = self.out / entry["run"]
        try:
            finished = json.loads((folder / "run.json").read_text())["status"] == "FINISHED"
        except (OSError, ValueError, KeyError):
            return False
        whole = (folder / "bundle").is_dir() or not (folder / "model.pt").exists()
        return finished and (folder / "cases.csv").is_file() and whole

    def state(self, name: str) -> State:
        """Of a cell."""
        state: State = self._entries[name]["state"]
        return state

    def entry(self, name: str) -> dict[str, Any]:
        """What the file says of a cell."""
        return dict(self._entries[name])

    def run(self, name: str) -> Path:
        """Folder of a finished cell's run."""
        return self.out / self._entries[name]["run"]

    def note(self, name: str) -> Path:
        """File that a cell's command tells the folder of its run."""
        return self.out / "logs" / f"{name}.run"

    def log(self, name: str) -> Path:
        """File that what a cell's command says is appended to."""
        return self.out / "logs" / f"{name}.log"

    def set(self, name: str, state: State, **more: Any) -> None:
        """Change a cell's state and what else is known of it, and write the file."""
        self._entries[name] |= {"state": state, **more}
        self.write()

    def finish(self, name: str) -> None:
        """Take down a cell whose command has ended well: its run, and the seconds that it took in all.

        Raises:
            ValueError: its command did not say where its run is.
        """
        try:
            folder = Path(self.note(name).read_text().strip()).name
        except FileNotFoundError as error:
            raise ValueError(
                f"A cell notes the folder of its run; {self.note(name)} is missing. See {self.log(name)}."
            ) from error
        seconds = round(read_durations(self.out / folder).get("wall", 0.0), 1)
        self.set(name, "finished", run=folder, seconds=seconds, message="")

    def write(self) -> None:
        """The file, as it is now."""
        write_json(self.path, {"cells": self._entries})
