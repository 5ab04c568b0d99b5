"""Runs that travel as one file: what comes out is what went in, to the byte, without weights and pictures."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest
from fake_runs import write_run
from mlflow import MlflowClient

from kd_monai.errors import UserError
from kd_monai.report.report import read_study
from kd_monai.report.selection import choose
from kd_monai.runs import archive
from kd_monai.runs.archive import FILES, extract, pack, unpack
from kd_monai.runs.read import find_runs
from kd_monai.tracking import Tracker

STUDIES = Path(__file__).parents[2] / "benchmarks" / "studies"
DICE = {"teacher": 0.7, "baseline": 0.5, "kdnet": 0.6}


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fold's teacher, baseline and student with weights and a picture, and a run that is still in training."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(Tracker, "_launch", lambda self: None)  # nothing is sent
    out = tmp_path / "here"
    out.mkdir()
    for method, dice in DICE.items():
        folder = write_run(out, method, lift=dice - 0.5, settings={"dataset_dir": "/hospital/2mm"})
        (folder / "model.pt").write_bytes(b"weights")
        (folder / "overlay.png").write_bytes(b"a picture")
        with Tracker(folder, "kd_monai", method, {"method": method}, {}, "study", {"recipe": "study"}) as tracker:
            tracker.start()
            tracker.log_metrics({"val/dice_mean": dice}, step=2)
            tracker.log_artifact(folder / "overlay.png")
        with (folder / "journal.jsonl").open("a") as journal:
            journal.write('{"op": "metr\n')  # a killed process leaves half a line
    write_run(out, "vid", status="RUNNING")
    monkeypatch.undo()
    return out


def texts(out: Path) -> dict[str, bytes]:
    files = [file for file in out.glob("*/*") if file.name in FILES]
    return {str(file.relative_to(out)): file.read_bytes() for file in files}


def test_a_packed_study_comes_out_elsewhere_with_its_report_its_choice_and_its_mlflow_runs(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    file, there = tmp_path / "study.tar.xz", tmp_path / "there"
    assert pack(out, file) == 3
    assert len(unpack(file, there)) == 3
    assert "overlay" not in caplog.text  # nobody misses what was never packed
    assert [path.name for path in there.glob("*/*.p*")] == []
    (vid,) = out.glob("vid*")
    wanted = {name: text for name, text in texts(out).items() if not name.startswith(vid.name)}
    assert texts(there) == wanted
    assert choose(there) == choose(out)
    (vid / "cases.csv").unlink()  # it is not finished, and was not packed
    ours, theirs = (read_study(folder).frame for folder in (there, out))
    pd.testing.assert_frame_equal(ours, theirs)

    client = MlflowClient(f"sqlite:///{there / 'mlruns.db'}")
    experiment = client.get_experiment_by_name("kd_monai")
    runs = client.search_runs([experiment.experiment_id], "tags.method LIKE '%'")
    assert {run.data.tags["method"]: run.data.metrics["val/dice_mean"] for run in runs} == DICE


@pytest.mark.parametrize("suffix", archive.SUFFIXES)
def test_the_same_runs_give_the_same_bytes_and_come_out_of_either_kind(suffix: str, out: Path, tmp_path: Path) -> None:
    files = [tmp_path / f"{name}{suffix}" for name in "ab"]
    for file in files:
        pack(out, file)
    assert files[0].read_bytes() == files[1].read_bytes()
    extract(files[0], tmp_path / "there")
    assert pack(tmp_path / "there", tmp_path / f"c{suffix}") == 3
    assert (tmp_path / f"c{suffix}").read_bytes() == files[0].read_bytes()
    with tarfile.open(files[0]) as stock:
        assert len(stock.getnames()) == len(texts(tmp_path / "there"))


def test_what_is_there_stays_as_it_is(out: Path, tmp_path: Path) -> None:
    pack(out, tmp_path / "study.tar.gz")
    (file, *_) = out.glob("kdnet*/cases.csv")
    file.write_text("newer")
    assert unpack(tmp_path / "study.tar.gz", out) == []
    assert file.read_text() == "newer"
    assert len(list(out.glob("*/model.pt"))) == len(DICE)


def test_what_a_forced_run_put_aside_is_no_run(out: Path, tmp_path: Path) -> None:
    (folder,) = out.glob("kdnet*")
    folder.rename(out / f".{folder.name}.replaced")
    assert pack(out, tmp_path / "study.tar.gz") == 2
    assert folder not in [run.folder for run in find_runs(out)[0]]


def test_nothing_to_pack_and_another_ending_are_refused(out: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Train first"):
        pack(tmp_path, tmp_path / "study.tar.xz")
    for call in (pack, unpack):
        with pytest.raises(UserError, match=r"\.tar\.xz or \.tar\.gz"):
            call(out, tmp_path / "study.zip") if call is pack else call(tmp_path / "study.zip", out)


def tar(members: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as made:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            made.addfile(member, io.BytesIO(content))
    return stream.getvalue()


@pytest.mark.parametrize("content", [b"", b"weights", lzma.compress(b"weights"), lzma.compress(tar({}))[:40]])
@pytest.mark.parametrize("suffix", archive.SUFFIXES)
def test_what_is_no_archive_is_refused(content: bytes, suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"study{suffix}"
    file.write_bytes(content)
    with pytest.raises(UserError, match="Correct PACK"):
        unpack(file, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "name",
    ["../a/run.json", "a/../run.json", "/a/run.json", "../run.json", "run.json", "a/b/run.json", "a/model.pt",
     ".a/run.json", "a/.hidden", "a\\..\\b/run.json", "./run.json", "/run.json"],
)  # fmt: skip
def test_a_member_that_is_no_known_file_of_a_run_folder_is_refused(name: str, tmp_path: Path) -> None:
    file = tmp_path / "study.tar.gz"
    file.write_bytes(gzip.compress(tar({"good/run.json": b"{}", name: b"{}"})))
    with pytest.raises(UserError, match="<run>/<file>"):
        unpack(file, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
def test_links_and_what_is_no_plain_file_are_refused(kind: bytes, tmp_path: Path) -> None:
    member = tarfile.TarInfo("a/run.json")
    member.type, member.linkname = kind, "/etc/passwd"
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as made:
        made.addfile(member)
    (tmp_path / "study.tar.gz").write_bytes(gzip.compress(stream.getvalue()))
    with pytest.raises(UserError, match="<run>/<file>"):
        unpack(tmp_path / "study.tar.gz", tmp_path / "out")


def test_a_file_that_is_too_large_alone_or_with_others_twice_there_or_without_its_record_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "LARGEST_FILE", 1000)
    monkeypatch.setattr(archive, "LARGEST_ARCHIVE", 1500)
    one = tar({"a/run.json": b"{}"})
    cases = {
        "at most": tar({"a/cases.csv": bytes(1001), "a/run.json": b"{}"}),
        "in all": tar({"a/cases.csv": bytes(900), "b/cases.csv": bytes(900)}),
        "once": one[:1024] + one,  # a header and a block of content, before the same and the end
        "run.json of each run; it has a": tar({"a/cases.csv": b"1"}),
        "it has no run": tar({}),
    }
    for word, content in cases.items():
        (tmp_path / "study.tar.gz").write_bytes(gzip.compress(content))
        with pytest.raises(UserError, match=word):
            unpack(tmp_path / "study.tar.gz", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("file", sorted(STUDIES.glob("*.tar.xz")), ids=lambda file: file.name)
def test_a_packed_study_that_is_shipped_holds_finished_runs_and_no_folder_of_a_machine(
    file: Path, tmp_path: Path
) -> None:
    folders = extract(file, tmp_path)
    assert folders
    for folder in folders:
        assert json.loads((folder / "run.json").read_text())["status"] == "FINISHED"
        content = "".join(path.read_text() for path in sorted(folder.iterdir()))
        assert not re.search(r"[\s\"'](/(?!data)\w+/\w+)", content)


def test_every_packed_study_is_named_beside_it() -> None:
    named = set(re.findall(r"\w+\.tar\.xz", (STUDIES / "README.md").read_text()))
    assert {file.name for file in STUDIES.glob("*.tar.xz")} == named
