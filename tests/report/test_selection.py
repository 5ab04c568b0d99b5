"""Methods in the order of their gain on the validation parts, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_runs import write_journal, write_run
from tiny import command

from kd_monai.report.selection import choose, rank, validation_gains
from kd_monai.runs.read import TrainedRun

GAINS = {"kdnet": (0.01, -0.02), "hinton": (0.03, 0.05)}
"""Method -> what its best epoch is ahead of the baseline's on folds 0 and 1."""


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Two modalities, two folds; scores of test cases are not there."""
    for fold in (0, 1):
        for modality in ("t1ce", "flair"):
            for method in ("baseline", *GAINS):
                best = 0.5 + 0.1 * fold + (GAINS[method][fold] if method in GAINS else 0)
                folder = write_run(tmp_path, method, modality, fold)
                # the best epoch is not the last
                write_journal(folder, [0.2], [500.0], dice=[0.2, best, best - 0.1])
                (folder / "cases.csv").unlink()
    return tmp_path


def ranks(out: Path) -> pd.DataFrame:
    runs = [TrainedRun.read(file.parent) for file in sorted(out.glob("*/run.json"))]
    return rank(validation_gains([run for run in runs if run.record["status"] == "FINISHED"]))


def test_the_order_is_that_of_the_mean_gain_and_no_test_case_is_read(out: Path) -> None:
    ranked = ranks(out)
    assert list(ranked.index) == ["hinton", "kdnet"]
    for method, gains in GAINS.items():
        assert ranked["all"][method] == pytest.approx(100 * np.mean(gains))
        for modality in ("t1ce", "flair"):
            assert ranked[modality][method] == pytest.approx(100 * np.mean(gains))
        assert [ranked.low[method], ranked.high[method]] == pytest.approx(sorted(100 * gain for gain in gains))
    assert ranked.n.tolist() == [4, 4]
    text = choose(out)
    assert "First: hinton." in text
    assert f"{100 * np.mean(GAINS['hinton']):+.1f}" in text


def test_methods_are_compared_where_all_of_them_have_runs(out: Path) -> None:
    """One that has only the fold on which all gain most would come first."""
    write_journal(write_run(out, "vid", "t1ce", 1), [0.2], [500.0], dice=[0.64])
    text = " ".join(choose(out).split())
    assert ranks(out).n.tolist() == [1, 1, 1]
    assert "6 runs of hinton and kdnet do not count: vid lacks flair fold 0 seed 0, flair fold 1" in text
    assert "First: hinton." in text
    assert "vid" not in choose(out, {"hinton", "kdnet"})


def test_one_setting_of_a_method_is_a_candidate_of_its_own(out: Path) -> None:
    for fold in (0, 1):
        for modality in ("t1ce", "flair"):
            folder = write_run(out, "hinton", modality, fold, settings={"segmentation_weight": 0.9})
            write_journal(folder, [0.2], [500.0], dice=[0.75 + 0.1 * fold])
    assert "First: hinton (segmentation_weight=0.9)." in choose(out)


def test_a_first_that_is_behind_the_baseline_is_not_offered(tmp_path: Path) -> None:
    for method, best in (("baseline", 0.6), ("kdnet", 0.5)):
        write_journal(write_run(tmp_path, method, "t1ce", 0), [0.2], [500.0], dice=[best])
    text = " ".join(choose(tmp_path).split())
    assert "First: kdnet. No method is ahead" in text


def test_a_run_that_is_not_finished_does_not_count(out: Path) -> None:
    for folder in out.glob("kdnet_flair*"):
        record = json.loads((folder / "run.json").read_text())
        (folder / "run.json").write_text(json.dumps(record | {"status": "RUNNING"}))
    assert ranks(out).n.tolist() == [2, 2]


def test_two_runs_of_one_place_are_refused(out: Path) -> None:
    """The later one would silently take the place of the other."""
    write_journal(write_run(out, "kdnet", "t1ce", 0), [0.2], [500.0], dice=[0.9])
    with pytest.raises(ValueError, match=r"is a second kdnet of t1ce, 0, 0.* Move one"):
        choose(out)


def test_methods_without_a_place_in_common_are_not_ranked(out: Path) -> None:
    write_run(out, "baseline", "t2", 0)
    write_journal(write_run(out, "vid", "t2", 0), [0.2], [500.0], dice=[0.64])
    (baseline,) = out.glob("baseline_t2*")
    write_journal(baseline, [0.2], [500.0], dice=[0.6])
    text = " ".join(choose(out).split())
    assert "shared by all methods: " in text
    assert "vid has 1" in text
    assert "First" not in text


def test_nothing_to_choose_from_is_an_error_with_the_remedy(tmp_path: Path, out: Path) -> None:
    with pytest.raises(ValueError, match=r"finished students of acn, vid with the baseline.*make study"):
        choose(out, {"vid", "acn"})
    for folder in out.glob("baseline*"):
        (folder / "journal.jsonl").unlink()
    with pytest.raises(ValueError, match="make study"):
        choose(out)


def test_the_command_prints_it(out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("choose", [f"OUT={out}", "METHODS=kdnet"]) == 0
    assert "First: kdnet." in capsys.readouterr().out
    assert command("choose", [f"OUT={out / 'nothing'}"]) != 0
