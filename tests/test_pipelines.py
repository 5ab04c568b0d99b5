"""The order in which a pipeline trains."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from kd_monai.study import roles
from tiny import pipeline


@pytest.mark.parametrize(
    ("line", "trained"),
    [
        (["--force", "1"], ["teacher", "student of teacher"]),
        (["--teacher", "mine"], ["student of mine"]),
        (["--method", "baseline"], ["student of None"]),
    ],
)
def test_student_trains_its_teacher_once(line: list[str], trained: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    def teacher(given: argparse.Namespace) -> argparse.Namespace:
        order.append("teacher")
        return argparse.Namespace(path=Path("teacher"))

    def student(given: argparse.Namespace) -> argparse.Namespace:
        order.append(f"student of {given.teacher}")
        return argparse.Namespace(path=Path("student"))

    for name, stub in {"train_teacher": teacher, "train_student": student}.items():
        monkeypatch.setattr(roles, name, stub)
    monkeypatch.setattr(roles, "evaluate_run", lambda run, given: None)
    monkeypatch.setattr(roles, "side_by_side", lambda runs: "")
    assert pipeline("student", line, monkeypatch) == 0
    assert order == trained
