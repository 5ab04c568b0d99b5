"""A split that somebody hands in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kd_monai.data.splits.split_file import read_split
from kd_monai.errors import UserError

PATIENTS = {"a1": "a", "a2": "a", "b": "b", "c": "c", "d": "d"}


def write(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "split.json"
    path.write_text(json.dumps(content))
    return path


def test_folds_alone_are_enough(tmp_path: Path) -> None:
    split = read_split(write(tmp_path, {"folds": [["c", "a1", "a2"], ["b", "d"]]}), PATIENTS)
    assert split == {"folds": [["a1", "a2", "c"], ["b", "d"]], "val": {}}


def test_splits_final_of_nnunet_is_read(tmp_path: Path) -> None:
    content = [{"train": ["b", "d"], "val": ["a1", "a2", "c"]}, {"train": ["a1", "a2", "c"], "val": ["b", "d"]}]
    assert read_split(write(tmp_path, content), PATIENTS)["folds"] == [["a1", "a2", "c"], ["b", "d"]]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ({"folds": [["a1", "a2", "b"], ["b", "c"]]}, r"subject b: .*has it in \[0, 1\]"),
        ({"folds": [["b", "b"], ["c"]]}, r"subject b: .*has it in \[0, 0\]"),
        ({"folds": [["a1"], ["a2"]]}, r"subject a1: .*patient a .*a1 in fold 0, a2 in fold 1"),
        ({"folds": [["b"], ["e"]]}, r"subject e: .*no such subject"),
        ({"folds": [["b"], ["c"]], "val": {"0": ["b"]}}, r"subject b: .*validation of fold 0"),
        ({"folds": [["a1"], ["b"]], "val": {"0": ["a2"]}}, r"subject a2: .*another time point"),
        ({"folds": [["b"], ["c"]], "val": {"2": ["d"]}}, "'val' must map fold numbers"),
        ({"folds": [["b"]]}, "two folds at least"),
        ({"split": 1}, "two folds at least"),
    ],
)
def test_a_split_that_does_not_fit_is_named(tmp_path: Path, content: Any, complaint: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(UserError, match=complaint) as error:
        read_split(path, PATIENTS)
    assert str(path) in str(error.value)


def test_subjects_in_no_fold_are_mentioned(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    read_split(write(tmp_path, {"folds": [["b"], ["c"]]}), PATIENTS)
    assert "3 subjects stand in no fold" in caplog.text
