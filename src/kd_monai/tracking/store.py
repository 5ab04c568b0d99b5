"""One run in an MLflow store.

The only file that imports MLflow, and only when the sender's thread asks: it is slow.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from pathlib import Path

from filelock import FileLock

from kd_monai.atomic import write_json
from kd_monai.tracking.journal import Line, read_json
from kd_monai.tracking.server import require_answer

logger = logging.getLogger(__name__)

# MONAI imports MLflow, which would otherwise report its use to its makers
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

PER_BATCH = 100


class MlflowRun:
    """One run of an MLflow store, and the parent it belongs to: where the sender delivers a journal.

    The run is found again by its journal's id, the parent by the hash of its name and tags; both are made under a file
    lock, as is the SQLite schema. A line delivered twice changes nothing: a metric's time stamp is the journal's.

    Args:
        folder: the run's folder, which gets mlflow.json (where the run is) and journal.sent (up to where it is told).
        uri: the store.
        header: the journal's first line.
        files_are_here: whether a file that is gone deserves a warning; of an unpacked run most files are.
    """

    def __init__(self, folder: Path, uri: str, header: Line, files_are_here: bool = True) -> None:
        require_answer(uri)
        from mlflow import MlflowClient
        from mlflow.telemetry import set_telemetry_client

        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)  # it speaks between the progress bars
        set_telemetry_client()  # MONAI may have imported MLflow before the variable above was set
        local = uri.removeprefix("sqlite:///") if uri.startswith("sqlite:///") else str(folder.parent / ".mlflow")
        Path(local).parent.mkdir(parents=True, exist_ok=True)
        self.folder, self.parent_id, self.files_are_here = folder, None, files_are_here
        with FileLock(f"{local}.lock"):
            if uri.startswith("sqlite:///") and not Path(local).exists():
                _make_tables(Path(local))
            self.client = MlflowClient(tracking_uri=uri)
            experiment = self.client.get_experiment_by_name(header["experiment"])
            if experiment is not None:
                self.experiment_id = experiment.experiment_id
            else:
                artifacts = None if uri.startswith("http") else (Path(local).parent / "mlartifacts").as_uri()
                self.experiment_id = self.client.create_experiment(header["experiment"], artifacts)
            if header["parent_name"]:
                content = json.dumps([header["parent_name"], header["parent_tags"]], sort_keys=True)
                key = hashlib.sha256(content.encode()).hexdigest()[:16]
                self.parent_id = self._run(
                    "study_key", key, header["parent_name"], header["parent_tags"], header["time"]
                )
            parent = {"mlflow.parentRunId": self.parent_id} if self.parent_id else {}
            self.run_id = self._run(
                "journal", header["id"], header["run_name"], header["tags"] | parent, header["time"]
            )
        if header.get("replaces"):
            self._end_replaced(header["replaces"], header["time"])
        sent = read_json(folder / "journal.sent")
        self.sent: int = sent["offset"] if sent.get("run_id") == self.run_id else 0
        where = {
            "uri": uri,
            "experiment_id": self.experiment_id,
            "run_id": self.run_id,
            "parent_run_id": self.parent_id,
        }
        write_json(folder / "mlflow.json", where | {"experiment": header["experiment"], "run_name": header["run_name"]})

    def _run(self, tag: str, value: str, name: str, tags: dict[str, str], began: int) -> str:
        runs = self.client.search_runs([self.experiment_id], f"tags.{tag} = '{value}'", order_by=["start_time ASC"])
        if runs:
            return runs[0].info.run_id
        return self.client.create_run(self.experiment_id, began, tags | {tag: value}, name).info.run_id

    def _end_replaced(self, journal: str, stamp: int) -> None:
        """Say of an unfinished run which one was started in its place; one that was never ended is KILLED."""
        for run in self.client.search_runs([self.experiment_id], f"tags.journal = '{journal}'"):
            self.client.set_tag(run.info.run_id, "replaced_by", self.run_id)
            if run.info.status == "RUNNING":
                self.client.set_terminated(run.info.run_id, "KILLED", stamp)

    def deliver(self, line: Line, end: int) -> None:
        """Tell MLflow one line; what it refuses for good, and a file that is gone, is passed over with a warning."""
        from mlflow.exceptions import MlflowException

        run_id = self.parent_id if line.get("parent") else self.run_id
        try:
            if run_id:
                self._apply(run_id, line)
        except MlflowException as error:
            if error.error_code != "INVALID_PARAMETER_VALUE":
                raise
            logger.warning(
                "MLflow must take every line of %s; it refuses this one, which is passed over: %s", line, error
            )
        except (FileNotFoundError, PermissionError) as error:
            level = logging.WARNING if self.files_are_here else logging.DEBUG
            logger.log(level, "An artifact must be readable and its store writable; %s is passed over: %s", line, error)
        self.sent = end
        write_json(self.folder / "journal.sent", {"run_id": self.run_id, "offset": end})

    def _apply(self, run_id: str, line: Line) -> None:
        from mlflow.entities import Metric, RunTag

        match line["op"]:
            case "metrics":
                stamp, step = line["time"], line["step"]
                metrics = [Metric(key, value, stamp, step) for key, value in line["values"].items()]
                for start in range(0, len(metrics), PER_BATCH):
                    self.client.log_batch(run_id, metrics=metrics[start : start + PER_BATCH])
            case "params":
                self._log_params(run_id, line["values"])
            case "tags":
                tags = [RunTag(key, value) for key, value in line["values"].items()]
                for start in range(0, len(tags), PER_BATCH):
                    self.client.log_batch(run_id, tags=tags[start : start + PER_BATCH])
            case "artifact":
                path = self.folder / line["path"]
                if path.is_dir():
                    self.client.log_artifacts(run_id, str(path), line["to"] or path.name)
                else:
                    self.client.log_artifact(run_id, str(path), line["to"])
            case "table":
                self._log_table(run_id, self.folder / line["path"])
            case "status":
                self._set_status(run_id, line["status"], line["time"])

    def _log_params(self, run_id: str, values: dict[str, str]) -> None:
        from mlflow.entities import Param, RunTag

        held = self.client.get_run(run_id).data.params
        changed = {key: value for key, value in values.items() if held.get(key, value) != value}
        new = [Param(key, value) for key, value in values.items() if key not in held]
        for start in range(0, len(new), PER_BATCH):
            self.client.log_batch(run_id, params=new[start : start + PER_BATCH])
        for key, value in changed.items():
            logger.warning(
                "A parameter of a run is fixed; %s was %s and is now %s: see tag now/%s.", key, held[key], value, key
            )
            self.client.log_batch(run_id, tags=[RunTag(f"now/{key}", value)])

    def _log_table(self, run_id: str, path: Path) -> None:
        """Show a CSV file as a table. MLflow's `log_table` appends: a line delivered twice would double the rows."""
        import pandas as pd

        name = f"{path.stem}.json"
        with tempfile.TemporaryDirectory() as folder:
            pd.read_csv(path).to_json(Path(folder) / name, orient="split", index=False)
            self.client.log_artifact(run_id, str(Path(folder) / name))
        tables = json.loads(self.client.get_run(run_id).data.tags.get("mlflow.loggedArtifacts", "[]"))
        if {"path": name, "type": "table"} not in tables:
            self.client.set_tag(
                run_id, "mlflow.loggedArtifacts", json.dumps([*tables, {"path": name, "type": "table"}])
            )

    def _set_status(self, run_id: str, status: str, stamp: int) -> None:
        if status == "RUNNING":
            self.client.update_run(run_id, status)
        else:
            self.client.set_terminated(run_id, status, stamp)
        if self.parent_id:
            siblings = f"tags.`mlflow.parentRunId` = '{self.parent_id}' and attributes.status = 'RUNNING'"
            if self.client.search_runs([self.experiment_id], siblings, max_results=1):
                self.client.update_run(self.parent_id, "RUNNING")
            else:
                self.client.set_terminated(self.parent_id, "FINISHED", stamp)


def _make_tables(path: Path) -> None:
    """A new SQLite store appears with all its tables: MLflow cannot use one whose making was cut short."""
    from mlflow import MlflowClient

    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    MlflowClient(tracking_uri=f"sqlite:///{draft}").search_experiments(max_results=1)
    draft.replace(path)
