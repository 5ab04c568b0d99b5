"""Runs that travel as text: what comes out is what went in, without weights and without this machine's folders."""

from __future__ import annotations

import json
import lzma
import re
from pathlib import Path

import pandas as pd
import pytest
from fake_runs import write_run
from mlflow import MlflowClient
from tiny import pipeline

from kd_monai.export.run_bundle import finished_runs
from kd_monai.report.report import read_study
from kd_monai.report.selection import choose
from kd_monai.runs.archive import pack, unpack
from kd_monai.tracking import Tracker
from kd_monai.training.launch import STUDENT

STUDIES = Path(__file__).parents[2] / "benchmarks" / "studies"
DICE = {"teacher": 0.7, "baseline": 0.5, "kdnet": 0.6}


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fold's teacher, baseline and student with weights and a picture, and a run that is still in training."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    out = tmp_path / "here"
    out.mkdir()
    cells = {}
    for method, dice in DICE.items():
        settings = {"dataset_dir": str(tmp_path / "hospital" / "2mm"), "output_dir": str(out)}
        folder = write_run(out, method, lift=dice - 0.5, settings=settings)
        (folder / "model.pt").write_bytes(b"weights")
        (folder / "overlay.png").write_bytes(b"a picture")
        params = {"bundle_root": str(STUDENT), "dataset_dir": settings["dataset_dir"], "torch_threads": "1"}
        with Tracker(folder, "kd_monai", method, {"method": method}, params, "study", {"recipe": "study"}) as tracker:
            tracker.start()
            tracker.log_metrics({"val/dice_mean": dice}, step=2)
            tracker.log_artifact(folder / "overlay.png")
            tracker.log_parent_metrics({"report/kdnet/diff": 1.0})
        with (folder / "journal.jsonl").open("a") as journal:
            journal.write('{"op": "metr\n')  # a killed process leaves half a line
        cells[f"{method}-fold0"] = {
            "state": "finished", "run": folder.name, "seconds": 12.0, "signature": method, "teacher": "",
            "command": f"python --out {out}", "message": "",
        }  # fmt: skip
    open_run = write_run(out, "vid", status="RUNNING")
    cells["vid-fold0"] = {"state": "running", "run": open_run.name}
    (out / "study.json").write_text(json.dumps({"cells": cells}))
    return out


def test_a_packed_study_comes_out_elsewhere_with_its_report_its_choice_and_its_mlflow_runs(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file, there = tmp_path / "study.jsonl", tmp_path / "there"
    assert pipeline("pack", ["--out", str(out), "--file", str(file)], monkeypatch) == 0
    assert "3 runs of" in capsys.readouterr().out
    text = file.read_text()
    assert str(tmp_path) not in text
    assert str(STUDENT.parent) not in text
    assert "overlay" not in text
    assert "report/kdnet/diff" not in text  # a report tells it anew
    assert "val/dice_mean" in text

    assert pipeline("unpack", ["--out", str(there), "--file", str(file)], monkeypatch) == 0
    assert "3 runs of" in capsys.readouterr().out
    assert sorted(path.name for path in there.glob("*/*.p*")) == []  # neither weights nor pictures
    assert choose(there) == choose(out)
    for folder in out.glob("vid*"):
        (folder / "cases.csv").unlink()  # it is not finished, and was not packed
    ours, theirs = (read_study(folder).frame for folder in (there, out))
    pd.testing.assert_frame_equal(ours, theirs)
    assert finished_runs(there) == []  # `make evaluate` has nothing to score there
    cells = json.loads((there / "study.json").read_text())["cells"]
    assert set(cells) == {f"{method}-fold0" for method in DICE}

    client = MlflowClient(f"sqlite:///{there / 'mlruns.db'}")
    experiment = client.get_experiment_by_name("kd_monai")
    runs = client.search_runs([experiment.experiment_id], "tags.method LIKE '%'")
    assert {run.data.tags["method"]: run.data.metrics["val/dice_mean"] for run in runs} == DICE

    assert pack(there, tmp_path / "again.jsonl") == 3
    assert (tmp_path / "again.jsonl").read_text() == text


def test_a_compressed_file_holds_the_same(out: Path, tmp_path: Path) -> None:
    assert pack(out, tmp_path / "study.jsonl") == pack(out, tmp_path / "study.jsonl.xz") == 3
    assert lzma.decompress((tmp_path / "study.jsonl.xz").read_bytes()) == (tmp_path / "study.jsonl").read_bytes()
    (there, plain), names = (tmp_path / "there", tmp_path / "plain"), ("study.jsonl.xz", "study.jsonl")
    for name, to in zip(names, (there, plain), strict=True):
        assert len(unpack(tmp_path / name, to)) == 3
    for file in plain.glob("*/*.csv"):
        assert (there / file.relative_to(plain)).read_bytes() == file.read_bytes()


@pytest.mark.parametrize("file", sorted(STUDIES.glob("*.xz")), ids=lambda file: file.name)
def test_the_packed_studies_that_are_shipped_hold_the_runs_of_their_cells(file: Path) -> None:
    first, *lines = [json.loads(line) for line in lzma.decompress(file.read_bytes()).decode().splitlines()]
    runs = {line["run"]: line["files"] for line in lines}
    assert {cell["run"] for cell in first["cells"].values()} <= set(runs)
    assert runs
    for files in runs.values():
        assert json.loads(files["run.json"])["status"] == "FINISHED"
        assert not re.search(r"[\s\"'](/(?!data)\w+/\w+)", "".join(files.values()))  # no folder of a machine


def test_there_are_packed_studies() -> None:
    assert {file.name for file in STUDIES.glob("*.xz")} == set(
        re.findall(r"\w+\.jsonl\.xz", (STUDIES / "README.md").read_text())
    )


def test_what_is_there_stays_as_it_is(out: Path, tmp_path: Path) -> None:
    pack(out, tmp_path / "study.jsonl")
    before = (out / "study.json").read_text()
    # the grid was asked for anew, and a cell of it is open
    cells = json.loads(before)["cells"]
    opened = {**cells, "kdnet-fold0": {"state": "pending", "run": None}}
    (out / "study.json").write_text(json.dumps({"cells": opened}))
    assert unpack(tmp_path / "study.jsonl", out) == []
    now = json.loads((out / "study.json").read_text())["cells"]
    assert {name: (cell["state"], cell["run"]) for name, cell in now.items()} == {
        name: (cell["state"], cell["run"]) for name, cell in cells.items()
    }
    assert len(list(out.glob("*/model.pt"))) == len(DICE)


def test_nothing_to_pack_is_an_error_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Finished and scored runs are packed; .* has none\. Train first"):
        pack(tmp_path, tmp_path / "study.jsonl")


@pytest.mark.parametrize("name", ["study.jsonl", "study.jsonl.xz"])
@pytest.mark.parametrize("content", ["", "weights", "{}", '{"cells": 1}', '{"cells": {}}\n{"run": "a"}'])
def test_what_is_no_packed_file_is_an_error_with_the_remedy(content: str, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=rf"{name} must be what `make pack` wrote; .* Correct PACK\."):
        unpack(tmp_path / name, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("run", "name"), [("../a", "run.json"), ("a", "../run.json"), ("..", "run.json")])
def test_a_file_that_names_places_outside_of_out_is_refused(run: str, name: str, tmp_path: Path) -> None:
    lines = [{"cells": {}}, {"run": run, "files": {name: "{}"}}]
    (tmp_path / "study.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(ValueError, match="must name files of run folders alone"):
        unpack(tmp_path / "study.jsonl", tmp_path / "out")
    assert not (tmp_path / "out").exists()
