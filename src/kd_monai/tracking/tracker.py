"""What a run says of itself while it trains."""

from __future__ import annotations

import atexit
import logging
import math
import os
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from kd_monai.errors import UserError
from kd_monai.phases import WALL, phase
from kd_monai.tracking.journal import Journal, Line, add_durations, check_name, flat_params, read_json, text_tags
from kd_monai.tracking.sender import Sender
from kd_monai.tracking.store import MlflowRun

logger = logging.getLogger(__name__)

HEAD_START_S = 3.0

Status = Literal["FINISHED", "FAILED", "KILLED"]


class Tracker:
    """Write what happens into ``folder/journal.jsonl`` and have it sent to MLflow by a thread.

    Every call returns at once. A folder whose journal exists continues its run: a (key, step) that it holds is not told
    again. As a context manager it ends the run FINISHED, FAILED or, at Ctrl-C, KILLED.

    Args:
        folder: the run's folder; its parent holds the default store, ``mlruns.db`` and ``mlartifacts``.
        experiment: MLflow experiment, made if needed.
        run_name: as the run is listed.
        tags: role, method, modality, fold, seed, run_key, ...
        params: may be nested; written as text.
        parent_name: the study's run, which this one is listed under; none where None.
        parent_tags: what tells one study from another: data digest, split digest, label convention, recipe.
        uri: the store; default MLFLOW_TRACKING_URI, else SQLite beside `folder`.
        replaces: id of the journal of an unfinished run that this one was started in place of; MLflow is told.
        required: whether `start` asks for a store that answers; else the journal is sent later.

    Attributes:
        on_resolved: called with what `log_resolved` is told.
    """

    def __init__(
        self,
        folder: Path,
        experiment: str,
        run_name: str,
        tags: Mapping[str, Any],
        params: Mapping[str, Any],
        parent_name: str | None = None,
        parent_tags: Mapping[str, Any] | None = None,
        uri: str | None = None,
        replaces: str | None = None,
        required: bool = False,
    ) -> None:
        self.folder = Path(folder).resolve()
        self._header: Line = {
            "op": "run",
            "id": uuid.uuid4().hex,
            "time": _now(),
            "experiment": experiment,
            "run_name": run_name,
            "tags": text_tags(tags),
            "parent_name": parent_name,
            "parent_tags": text_tags(parent_tags or {}),
        }
        if replaces is not None:
            self._header["replaces"] = replaces
        self._params = flat_params(params)
        self._required = required
        self._open(uri)

    @classmethod
    def reopen(cls, folder: Path, uri: str | None = None, files_are_here: bool = True) -> Self:
        """Go on telling about the run in `folder` without a change of its status, e.g. its test scores; `close` it.

        What an earlier process could not send is sent too.

        Args:
            folder: the run's folder.
            uri: the store, as above.
            files_are_here: False for an unpacked run, whose pictures and weights stayed elsewhere: nothing is said of
                a file that is gone.

        Raises:
            UserError: when the folder has no journal.
        """
        self = cls.__new__(cls)
        self.folder = Path(folder).resolve()
        header = Journal(self.folder / "journal.jsonl").header if self.folder.is_dir() else None
        if header is None:
            raise UserError(
                f"A run to go on with must have a journal; {self.folder}/journal.jsonl has no run. Train it first."
            )
        known = read_json(self.folder / "mlflow.json").get("uri", "")
        if known.startswith("http") and "MLFLOW_TRACKING_URI" not in os.environ:
            uri = uri or known
        self._header, self._params, self._required = header, {}, False
        self._open(uri, files_are_here)
        self._launch()
        return self

    def _open(self, uri: str | None, files_are_here: bool = True) -> None:
        self.uri = tracking_uri(self.folder.parent, uri)
        self._journal = Journal(self.folder / "journal.jsonl")
        self.on_resolved: list[Callable[[Mapping[str, str]], object]] = []
        self._running = False
        self._sender = Sender(
            self._journal,
            lambda: MlflowRun(self.folder, self.uri, self._journal.header or self._header, files_are_here),
            head_start_s=HEAD_START_S,
        )

    def start(self) -> None:
        """Begin the run or continue the one this folder holds; afterwards it is RUNNING. A second call changes nothing.

        Raises:
            UserError: a store is required, and it does not answer.
        """
        if self._running:
            return
        if self._journal.header is None:
            self._journal.append(self._header)
        else:
            self.set_tags(self._header["tags"])
        self._running = True
        self._tell({"op": "status", "status": "RUNNING", "time": _now()})
        self.log_params(self._params)
        self._launch()
        if self._required and not self._sender.flush(60):
            raise UserError(
                f"TRACKING=required asks for a store that answers; {self.uri} gave "
                f"{self._sender.error or 'nothing in 60 s'}. Start the server, mend MLFLOW_TRACKING_URI, or leave "
                "TRACKING out: the journal is sent later."
            )

    def _launch(self) -> None:
        self._sender.start()
        # a flush and no close: whoever registered before, and so is called after, may still end the run
        atexit.register(self._sender.flush, 10)

    def log_metrics(self, values: Mapping[str, float], step: int = 0, *, replace: bool = False) -> None:
        """Tell metrics of a step; a (key, step) that was told is dropped; with `replace` MLflow shows the newer.

        A value that is no finite number is left out (MLflow would draw NaN as 0 and infinity as 1.8e308).

        Raises:
            UserError: for a name that MLflow does not take.
        """
        self._metrics(values, step, replace, parent=False)

    def log_parent_metrics(self, values: Mapping[str, float]) -> None:
        """Tell numbers of the whole study; told again, they replace the old ones."""
        self._metrics(values, 0, True, parent=True)

    def _metrics(self, values: Mapping[str, float], step: int, replace: bool, parent: bool) -> None:
        finite = {check_name(key): float(value) for key, value in values.items() if math.isfinite(float(value))}
        if len(finite) < len(values):
            logger.info("Not told to MLflow, for they are no numbers: %s", sorted(values.keys() - finite.keys()))
        new = finite if replace else self._journal.new_metrics(finite, step, parent)
        if new:
            self._tell({"op": "metrics", "step": step, "time": _now(), "values": new, "parent": parent})

    def save_durations(self) -> None:
        """Add what each phase took since the last call to the folder's ``durations.json``."""
        add_durations(self.folder)

    def log_durations(self) -> None:
        """Save them, and tell the sums as ``seconds/<phase>``."""
        sums = add_durations(self.folder)
        self.log_metrics({f"seconds/{name}": value for name, value in sums.items() if name != WALL}, replace=True)

    def log_params(self, values: Mapping[str, Any]) -> None:
        """Tell parameters. MLflow keeps the first value of each; a later, other one becomes the tag ``now/<name>``."""
        new = self._journal.new_params(flat_params(values))
        if new:
            self._tell({"op": "params", "values": new})

    def log_resolved(self, values: Mapping[str, str]) -> None:
        """Tell as parameters what settings came to that only the training could resolve; twice is as good as once."""
        self.log_params(values)
        for tell in self.on_resolved:
            tell(values)

    def set_tags(self, values: Mapping[str, Any]) -> None:
        """Set tags; a later value replaces an earlier one."""
        self._tell({"op": "tags", "values": text_tags(values)})

    def log_artifact(self, path: Path, artifact_path: str | None = None) -> None:
        """Send a file into `artifact_path` of the run's artifacts, or a folder as `artifact_path`.

        Default is where it lies in the run's folder. It is read when it is sent: do not change it after.
        """
        self._artifact("artifact", path, artifact_path)

    def log_table(self, path: Path) -> None:
        """Send a CSV file, and show it as a table in MLflow."""
        self._artifact("artifact", path, None)
        self._artifact("table", path, None)

    def log_parent_artifact(self, path: Path, artifact_path: str | None = None) -> None:
        """Send a file to the study's run."""
        self._artifact("artifact", path, artifact_path, parent=True)

    def _artifact(self, op: str, path: Path, to: str | None, parent: bool = False) -> None:
        path = Path(path).resolve()
        if not path.exists():
            raise FileNotFoundError(f"An artifact must exist; {path} does not. Write it before it is logged.")
        if path.is_relative_to(self.folder):
            path = path.relative_to(self.folder)
            folder = path if (self.folder / path).is_dir() else path.parent
            to = to or (None if folder == Path() else folder.as_posix())
        self._tell({"op": op, "path": str(path), "to": to, "parent": parent})

    def _tell(self, line: Line) -> None:
        self._journal.append(line)
        self._sender.wake()

    def flush(self, timeout_s: float = 30) -> bool:
        """Wait until all is sent; False after `timeout_s` seconds, and at once where the store does not answer."""
        return self._sender.flush(timeout_s)

    def end(self, status: Status = "FINISHED", timeout_s: float = 30) -> None:
        """End the run and flush. A second call changes nothing."""
        if self._running:
            self._running = False
            self.save_durations()
            self._tell({"op": "status", "status": status, "time": _now()})
        self.close(timeout_s)

    def close(self, timeout_s: float = 30) -> None:
        """Flush and stop the thread; the run keeps its status."""
        with phase("tracking"):
            if self._sender.started and not self._sender.close(timeout_s):
                path = self._journal.path
                logger.warning("Not all of %s could be sent to %s; the next launch sends it.", path, self.uri)
        atexit.unregister(self._sender.flush)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.end("FINISHED")
        else:
            self.end("KILLED" if issubclass(kind, KeyboardInterrupt) else "FAILED")


def _now() -> int:
    return time.time_ns() // 1_000_000


def tracking_uri(out: Path, uri: str | None = None) -> str:
    """Where the runs in `out` are told: `uri`, else MLFLOW_TRACKING_URI, else SQLite in `out`; its path absolute."""
    uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{out.resolve()}/mlruns.db"
    if uri.startswith("sqlite:///"):
        uri = f"sqlite:///{Path(uri.removeprefix('sqlite:///')).resolve()}"
    return uri
