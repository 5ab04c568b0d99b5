"""A finished run and the table of its test cases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kd_monai.atomic import write_json
from kd_monai.data import Datalist
from kd_monai.errors import UserError
from kd_monai.handlers import file_digest
from kd_monai.metrics import MORE_ROWS, SUMMARY_ROWS, ThresholdChoice, cases_frame, summarise, write_cases
from kd_monai.tracking import Tracker


def trained_weights(folder: Path) -> dict[str, Tensor]:
    """The best weights of a finished run, on the CPU.

    Raises:
        UserError: ``model.pt`` is not the file that its training wrote.
    """
    recorded = json.loads((folder / "run.json").read_text()).get("model_digest")
    digest = file_digest(folder / "model.pt")
    if recorded not in (None, digest):
        raise UserError(
            f"{folder / 'model.pt'} must be the file that its training wrote, SHA-256 {recorded}...; got {digest}... "
            "Restore the run folder or train again."
        )
    weights: dict[str, Tensor] = torch.load(folder / "model.pt", map_location="cpu", weights_only=True)
    return weights


class ScoredRun:
    """Collect the scores of a run's test cases, then write ``thresholds.json``, tell MLflow, and write ``cases.csv``.

    Args:
        folder: the run's folder.

    Attributes:
        thresholds: chosen on the validation part.

    Raises:
        UserError: no folder is named, or its training is not finished.
    """

    def __init__(self, folder: str | Path | None) -> None:
        record = Path(folder or "") / "run.json"
        if not folder or not record.is_file():
            raise UserError(
                f"Evaluation scores a run; {folder!r} is no run folder. Give the one that training printed: "
                "--run_dir FOLDER."
            )
        self.folder = Path(folder).absolute()
        self.record: dict[str, Any] = json.loads(record.read_text())
        if self.record["status"] != "FINISHED":
            raise UserError(
                f"Evaluation scores finished runs; {self.folder} is {self.record['status']}. Launch its training again."
            )
        self.thresholds = ThresholdChoice()
        self._rows: list[dict[str, object]] = []

    def check(self, datalist: Datalist) -> None:
        """Whether these are the data that the run was trained on.

        Raises:
            UserError: another data set, or files that have changed since.
        """
        if datalist.digest != self.record["data_digest"]:
            raise UserError(
                f"A run is scored on the data set it was split from; {self.folder} has the data digest "
                f"{self.record['data_digest']}, and the data that were named {datalist.digest}. Name the unchanged "
                "data set (DATA=, --dataset_dir), or train again."
            )

    def load(self, network: nn.Module) -> None:
        """Put the run's best weights into a network of its architecture.

        Raises:
            UserError: they are not those that its training wrote.
        """
        network.load_state_dict(trained_weights(self.folder))

    def add(self, row: dict[str, object]) -> None:
        """One test case, a row of the per-case table."""
        self._rows.append(row)

    def finish(self) -> None:
        """Log means and table to the run, and write the table, atomically.

        The table says that the run is scored: whatever ends the process before it is written, the next launch scores
        again, and MLflow has the means by then.
        """
        cases = cases_frame(self._rows)
        path = self.folder / "cases.csv"
        chosen = self.thresholds.chosen
        write_json(self.folder / "thresholds.json", {"thresholds": chosen, "n_val": self.thresholds.n_cases})
        summary = summarise(cases, (*SUMMARY_ROWS, *MORE_ROWS))
        tracker = Tracker.reopen(self.folder)
        means = {
            f"test/{metric}_{region}": float(mean)
            for metric, region, mean in summary[["metric", "region", "mean"]].itertuples(index=False)
        }
        means |= {f"test/threshold_{region}": value for region, value in chosen.items()}
        tracker.log_metrics(means, replace=True)
        write_cases(cases, path)
        tracker.log_table(path)
        tracker.log_durations()
        tracker.close()
