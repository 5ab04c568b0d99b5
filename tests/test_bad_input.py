"""What a user may give wrongly: one message, status 2, nothing trained, nothing on disk touched."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from tiny import command, hashes, words

from kd_monai.config.plan import read_plans
from kd_monai.config.variables import read_command
from kd_monai.training.workflow import train_teachers


@pytest.fixture(scope="module")
def out(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs with one finished teacher."""
    folder = tmp_path_factory.mktemp("bad_input") / "runs"
    train_teachers(read_plans(read_command(["teacher", *words(data=str(phantom), out=str(folder))]), "student"))
    return folder


@pytest.fixture
def teacher(out: Path) -> Path:
    (folder,) = out.glob("teacher-*/")
    return folder


@pytest.fixture
def refused(out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Launch a pipeline that must refuse, and give what it says."""

    def launch(name: str, **given: str) -> str:
        before = {folder.name: hashes(folder) for folder in out.glob("*/")}
        status = command(name, words(**{"out": str(out), **given}))
        said = capsys.readouterr().err
        assert status == 2, said
        assert "Traceback" not in said
        assert "step/s" not in said  # no bar: no step
        assert {folder.name: hashes(folder) for folder in out.glob("*/")} == before
        assert said.startswith("\n")
        return said.strip()

    return launch


@pytest.fixture
def data(phantom: Path, tmp_path: Path) -> Path:
    """A copy of the phantom whose files may be replaced."""
    return Path(shutil.copytree(phantom, tmp_path / "data", copy_function=os.link))


def subject_of(data: Path) -> Path:
    return sorted(path for path in data.glob("*/*/"))[0]


def rewrite(path: Path, change: Callable[[np.ndarray], np.ndarray], shift_mm: float = 0.0) -> None:
    """Replace an image's voxels, or move it."""
    image = nib.load(path)
    affine = image.affine.copy()
    affine[0, 3] += shift_mm
    voxels = change(np.asarray(image.dataobj).astype(np.float32))
    path.unlink()
    nib.save(nib.Nifti1Image(voxels, affine), path)


def spoil(voxels: np.ndarray, value: float) -> np.ndarray:
    voxels[60, 60, 40] = value
    return voxels


def remove(case: Path) -> None:
    (case / f"{case.name}_t2.nii.gz").unlink()


def double(case: Path) -> None:
    nib.save(nib.load(case / f"{case.name}_t2.nii.gz"), case / f"{case.name}_t2.nii")


def truncate(case: Path) -> None:
    path = case / f"{case.name}_t2.nii.gz"
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[: len(content) // 2])


def image(change: Callable[[np.ndarray], np.ndarray], shift_mm: float = 0.0) -> Callable[[Path], None]:
    return lambda case: rewrite(case / f"{case.name}_t2.nii.gz", change, shift_mm)


BAD_DATA = {
    "missing modality": (remove, "t2", "Add"),
    "two files for one modality": (double, "_t2.nii", "Remove"),
    "truncated gzip": (truncate, "_t2.nii.gz", "again"),
    "shapes differ": (image(lambda voxels: voxels[:-1]), "_t2.nii.gz", "Resample"),
    "affines differ": (image(lambda voxels: voxels, shift_mm=5), "_t2.nii.gz", "Resample"),
    "NaN": (image(lambda voxels: spoil(voxels, np.nan)), "_t2.nii.gz", "."),
    "all zero": (image(np.zeros_like), "_t2.nii.gz", "."),
    "label outside the convention": (
        lambda case: rewrite(case / f"{case.name}_seg.nii.gz", lambda voxels: spoil(voxels, 7)),
        "_seg.nii.gz",
        "[7]",
    ),
}


@pytest.mark.parametrize("name", BAD_DATA)
def test_bad_data_is_refused(name: str, data: Path, refused: Callable[..., str]) -> None:
    change, file, remedy = BAD_DATA[name]
    case = subject_of(data)
    change(case)
    before = hashes(data)
    said = refused("teacher", data=str(data))
    assert case.name in said
    assert file in said
    assert remedy in said
    assert hashes(data) == before


def test_subject_in_two_folds_is_refused(
    phantom: Path, teacher: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    split = json.loads((teacher / "split.json").read_text())
    twice = split["folds"][0][0]
    split["folds"][1].append(twice)
    file = tmp_path / "split.json"
    file.write_text(json.dumps(split))
    said = refused("teacher", data=str(phantom), split=str(file))
    assert twice in said
    assert str(file) in said
    assert "Remove" in said


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({"modality": "t1c"}, "t1, t1ce, t2, flair"),
        ({"teacher_modalities": "t1-t9"}, "t1, t1ce, t2, flair"),
        ({"method": "kdnte"}, "did you mean kdnet"),
        ({"method": "standardized"}, "head 'labels'"),
        ({"recipe": "fast"}, "paper, quick, study"),
        ({"network": "vnet"}, "basicunet, dynunet, multiresunet, segresnet, swinunetr, unet"),
        ({"labels": "brats2019"}, "LABELS must be one of auto, brats2018"),
        ({"fold": "3"}, "FOLD must be one of 0, 1, 2, all"),
        ({"data": "nowhere"}, "DATA must name a folder"),
        ({"device": "gpu"}, "DEVICE must be a device of this machine"),
        pytest.param(
            {"device": "cuda"},
            "DEVICE must be a device of this machine",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU"),
        ),
        ({"cache": "disc"}, "CACHE must be one of memory, disk"),
        ({"epochs": "zero"}, "EPOCHS must be a whole number, at least 1"),
        ({"folds": "x"}, "FOLDS must be a whole number, at least 2"),
        ({"seed": "x"}, "SEED must be a whole number, at least 0"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_unknown_value_is_refused(given: dict[str, str], rule: str, phantom: Path, refused: Callable[..., str]) -> None:
    # a seed without a teacher: nor is one trained before the student's METHOD is looked at
    said = refused("student", **{"data": str(phantom), "seed": "1", **given})
    assert rule in said
    assert next(iter(given.values())) in said


def record(folder: Path, **changes: object) -> None:
    content = json.loads((folder / "run.json").read_text()) | changes
    (folder / "run.json").write_text(json.dumps(content))


BAD_TEACHERS = {
    "no folder": (lambda folder: shutil.rmtree(folder), "run.json"),
    "no run": (lambda folder: (folder / "run.json").unlink(), "run.json"),
    "damaged record": (lambda folder: (folder / "run.json").write_text('{"role":'), "run.json"),
    "a student": (lambda folder: record(folder, role="student"), "role must be teacher"),
    "unfinished": (lambda folder: record(folder, status="FAILED"), "finished"),
    "another spacing": (lambda folder: record(folder, spacing_mm=1.0), "4.0 mm"),
    "truncated weights": (lambda folder: (folder / "model.pt").write_bytes(b"PK" + bytes(1000)), "model.pt"),
}


@pytest.mark.parametrize("name", BAD_TEACHERS)
def test_teacher_that_does_not_fit_is_refused(
    name: str, phantom: Path, teacher: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    folder = Path(shutil.copytree(teacher, tmp_path / "teacher"))
    change, rule = BAD_TEACHERS[name]
    change(folder)
    said = refused("student", data=str(phantom), teacher=str(folder))
    assert str(folder) in said
    assert rule in said


@pytest.mark.parametrize("verb", ["teacher", "baseline", "demo", "study", "evaluate", "predict"])
def test_a_device_that_is_not_there_is_refused_by_every_verb(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Without data, which it would read next."""
    assert command(verb, ["DEVICE=gpu"]) == 2
    assert "DEVICE must be a device of this machine" in capsys.readouterr().err


def test_a_study_of_another_machine_may_name_its_device(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a cluster's profile hands out runs elsewhere; here the data are missed."""
    line = ["DEVICE=cuda:99", f"PROFILE={tmp_path}", f"DATA={tmp_path / 'none'}", f"OUT={tmp_path / 'runs'}"]
    assert command("study", line) == 2
    assert "DATA must name" in capsys.readouterr().err


def test_teacher_of_another_fold_is_refused(phantom: Path, teacher: Path, refused: Callable[..., str]) -> None:
    said = refused("student", data=str(phantom), teacher=str(teacher), fold="1")
    assert str(teacher) in said
    assert "must not have seen test subjects" in said
