from __future__ import annotations

import json
from pathlib import Path

import pytest

from kd_monai.tracking.journal import Journal, read_json


def metrics(step: int, **values: float) -> dict:
    return {"op": "metrics", "step": step, "time": 0, "values": values}


def test_lines_come_back_in_order_with_the_offset_of_the_next(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    for step in range(3):
        journal.append(metrics(step, loss=1.0))
    lines = list(journal.read())
    assert [line["step"] for line, _ in lines] == [0, 1, 2]
    assert [line["step"] for line, _ in journal.read(lines[0][1])] == [1, 2]
    assert lines[-1][1] == journal.size


def test_a_second_journal_knows_the_steps_of_the_first(tmp_path: Path) -> None:
    Journal(tmp_path / "journal.jsonl").append(metrics(1, loss=1.0))
    second = Journal(tmp_path / "journal.jsonl")
    assert second.new_metrics({"loss": 2.0, "dice": 0.5}, 1) == {"dice": 0.5}
    assert second.new_metrics({"loss": 2.0}, 2) == {"loss": 2.0}
    assert second.new_metrics({"loss": 2.0}, 1, parent=True) == {"loss": 2.0}


def test_a_line_cut_short_by_a_kill_is_skipped_and_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    Journal(path).append(metrics(1, loss=1.0))
    with path.open("a") as file:
        file.write('{"op": "metrics", "step": 2, "val')
    journal = Journal(path)
    assert [line["step"] for line, _ in journal.read()] == [1]
    journal.append(metrics(3, loss=1.0))
    assert [line["step"] for line, _ in journal.read()] == [1, 3]


def test_a_journal_is_strict_json(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    with pytest.raises(ValueError, match="JSON"):
        journal.append(metrics(1, loss=float("nan")))
    assert journal.size == 0
    journal.append(metrics(1, loss=0.5))
    assert json.loads(journal.path.read_text()) == metrics(1, loss=0.5)


def test_parameters_that_did_not_change_are_not_new(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append({"op": "params", "values": {"seed": "0", "workers": "2"}})
    assert journal.new_params({"seed": "0", "workers": "4", "lr": "1"}) == {"workers": "4", "lr": "1"}


def test_a_missing_json_file_is_empty_and_a_written_one_leaves_no_other_behind(tmp_path: Path) -> None:
    assert read_json(tmp_path / "a.json") == {}
    (tmp_path / "a.json").write_text('{"b": 1}')
    assert read_json(tmp_path / "a.json") == {"b": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
