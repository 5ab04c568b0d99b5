"""The demo's benchmark refuses a demo that is unfinished, shortened, or does not say where its time went."""

from __future__ import annotations

import importlib
import json
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from kd_monai.config.overlays import BUNDLES, STUDENT

RUNS = ("teacher", "baseline", "student")


@pytest.fixture
def demo_phases(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BUNDLES.parent / "benchmarks"))
    return importlib.import_module("demo_phases")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A finished demo of 400 seconds: 300 of training, 60 of scoring."""
    for name in RUNS:
        run = tmp_path / name
        run.mkdir()
        (run / "run.json").write_text('{"status": "FINISHED"}')
        (run / "cases.csv").touch()
        (run / "durations.json").write_text(json.dumps({"training": 300, "scoring": 60, "set-up": 30, "wall": 400}))
        shutil.copy(STUDENT / "configs" / "train.yaml", run / "config.yaml")
    return tmp_path


def rows(module: ModuleType, out: Path) -> list[Any]:
    question = importlib.import_module("question")
    return module.measure(question.Given("full", out, out, torch.device("cpu"), out, out))


def test_the_longest_phase_but_training_is_a_share_of_the_whole(demo_phases: ModuleType, out: Path) -> None:
    (row,) = rows(demo_phases, out)
    assert (row.ours.name, row.ratio, row.verdict) == ("scoring", 0.15, "reached")


def test_without_a_finished_demo_there_is_no_row_and_a_line_that_says_what_to_run(
    demo_phases: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert rows(demo_phases, tmp_path) == []
    assert f"make demo OUT={tmp_path}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "content", "rule"),
    [
        ("teacher/run.json", '{"status": "RUNNING"}', "finished"),
        ("teacher/durations.json", '{"training": 50, "wall": 130}', "95 %"),
        ("student/config.yaml", "{epochs: 2, steps_per_epoch: 50, n_subjects: null, roi_size: [64, 64, 64]}", "long"),
    ],
)
def test_a_demo_that_breaks_the_contract_is_no_answer(
    demo_phases: ModuleType, out: Path, file: str, content: str, rule: str
) -> None:
    (out / file).write_text(content)
    with pytest.raises(AssertionError, match=rule):
        rows(demo_phases, out)
