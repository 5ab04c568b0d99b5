"""What a run tells MLflow of itself: names, tags and parameters by DESIGN's conventions."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from small_run import run_folder

from kd_monai.runs import RunFolder, run_tracker
from kd_monai.tracking import Tracker


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[RunFolder, list[dict[str, Any]]]:
    """A run that was opened, tracked and failed, and the lines of its journal; nothing is sent."""
    monkeypatch.setattr(Tracker, "_launch", lambda self: None)
    run = run_folder(tmp_path, num_workers=3, train={"nested": "left out"})
    run.open()
    tracker = run_tracker(run, "brats")
    assert isinstance(tracker, Tracker)
    tracker.start()
    run.fail()
    return run, [json.loads(line) for line in (run.path / "journal.jsonl").read_text().splitlines()]


def test_the_run_and_its_study_are_named_and_tagged(told) -> None:
    run, (header, *_) = told
    assert (header["experiment"], header["run_name"]) == ("brats", "kdnet_t1ce")
    tags = {"role": "student", "method": "kdnet", "modality": "t1ce", "fold": "0", "seed": "7", "run_key": run.key}
    assert header["tags"] == tags  # no teacher, no tag of one
    assert header["parent_name"] == "brats2018-quick-dddddddd"
    assert set(header["parent_tags"]) == {"data_digest", "split_digest", "labels", "recipe"}


def test_arms_of_other_numbers_of_subjects_have_one_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are cells of one study."""
    monkeypatch.setattr(Tracker, "_launch", lambda self: None)
    headers = []
    for number in (None, 4, 8):
        run = run_folder(tmp_path / str(number), n_subjects=number)
        run.open()
        tracker = run_tracker(run)
        assert isinstance(tracker, Tracker)
        tracker.start()
        run.fail()
        headers.append(json.loads((run.path / "journal.jsonl").read_text().splitlines()[0]))
    parents = [(header["parent_name"], header["parent_tags"]) for header in headers]
    assert parents == [parents[0]] * 3


def test_worker_count_versions_commit_split_and_settings_are_parameters(told) -> None:
    run, lines = told
    params: dict[str, str] = {}
    for line in lines:
        params |= line["values"] if line["op"] == "params" else {}
    assert params["num_workers"] == "3"
    assert params["labels"] == "brats2018"
    assert params["split_file"] == str(run.path / "split.json")
    assert params["n_train"] == "3"
    for name in ("monai", "torch", "pytorch-ignite", "mlflow", "numpy", "nibabel", "itk"):
        assert params[f"version/{name}"] == version(name)
    assert params["git_commit"]
    assert float(params["terms/kl/weight"]) == 1
    assert not any("nested" in name for name in params)


def test_what_settings_came_to_is_a_parameter_and_in_the_record_and_not_in_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow keeps a parameter's first value: the wish must not be told before what it came to."""
    monkeypatch.setattr(Tracker, "_launch", lambda self: None)
    run = run_folder(tmp_path, memory_format="auto", teacher_runtime="auto")
    key = run.key
    run.open()
    tracker = run_tracker(run)
    assert isinstance(tracker, Tracker)
    tracker.start()
    resolved = {"memory_format": "channels_last", "teacher_runtime": "openvino", "teacher_precision": "fp32"}
    for _epoch in range(2):
        tracker.log_resolved(resolved)
    run.fail()
    lines = [json.loads(line) for line in (run.path / "journal.jsonl").read_text().splitlines()]
    told = [line["values"].items() & resolved.items() for line in lines if line["op"] == "params"]
    assert told == [set(), resolved.items()]
    assert not any(line["values"].get("teacher_runtime") == "auto" for line in lines if line["op"] == "params")
    record = json.loads((run.path / "run.json").read_text())
    assert resolved.items() <= record.items()
    wished = run_folder(tmp_path, memory_format="channels_last", teacher_runtime="torch")
    assert record["run_key"] == run.key == key == wished.key


def test_a_run_that_fails_is_failed_in_mlflow_too(told) -> None:
    _, lines = told
    assert [line["status"] for line in lines if line["op"] == "status"] == ["RUNNING", "FAILED"]
