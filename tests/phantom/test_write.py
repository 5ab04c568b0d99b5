"""The phantom's files: layout, resume, refusal."""

from __future__ import annotations

import json
import logging
import runpy
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from kd_monai.errors import UserError
from kd_monai.phantom import write, write_phantom
from kd_monai.phantom.subject import make_subject

MODALITIES = ("t1", "t1ce", "t2", "flair")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Replace subjects by tiny ones and list which were made."""
    indices: list[int] = []

    def tiny(index: int, spacing_mm: int, seed: int) -> tuple:
        indices.append(index)
        images = {m: np.full((4, 5, 6), index + 1, np.int16) for m in MODALITIES}
        return images, np.zeros((4, 5, 6), np.uint8), np.diag([-2.0, -2.0, 2.0, 1.0]), "HGG"

    monkeypatch.setattr(write, "make_subject", tiny)
    return indices


def test_files_lie_as_in_brats_2018_and_load_with_one_affine(tmp_path: Path) -> None:
    root = write_phantom(tmp_path / "phantom", 2, 2, 0, progress=False)
    cases = sorted(p.relative_to(root).as_posix() for p in root.glob("*/*"))
    assert cases == ["HGG/Phantom_HGG_001", "LGG/Phantom_LGG_002"]
    images, label, affine, _ = make_subject(1, 2, 0)
    for case in cases:
        name = Path(case).name
        files = {p.name: p for p in (root / case).iterdir()}
        assert set(files) == {f"{name}_{suffix}.nii.gz" for suffix in (*MODALITIES, "seg")}
        loaded = {suffix: nib.load(files[f"{name}_{suffix}.nii.gz"]) for suffix in (*MODALITIES, "seg")}
        for suffix, image in loaded.items():
            assert np.allclose(image.affine, affine)
            assert np.allclose(image.get_qform(), affine)
            assert image.header.get_zooms() == (2, 2, 2)
            assert image.get_data_dtype() == (np.uint8 if suffix == "seg" else np.int16)
            if case == cases[1]:
                assert np.array_equal(np.asarray(image.dataobj), label if suffix == "seg" else images[suffix])


def test_a_complete_data_set_is_kept_and_that_is_said(
    tmp_path: Path, made: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    write_phantom(tmp_path, 3, 2, 0, progress=False)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.nii.gz")}
    with caplog.at_level(logging.INFO):
        write_phantom(tmp_path, 3, 2, 0, progress=False)
    assert made == [0, 1, 2]
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.nii.gz")} == before
    assert "kept" in caplog.text


def test_a_larger_request_adds_subjects(tmp_path: Path, made: list[int]) -> None:
    write_phantom(tmp_path, 2, 2, 0, progress=False)
    write_phantom(tmp_path, 4, 2, 0, progress=False)
    assert made == [0, 1, 2, 3]
    assert json.loads((tmp_path / "phantom.json").read_text())["subjects"] == 4


def test_an_interrupted_call_leaves_no_half_subject_and_is_continued(
    tmp_path: Path, made: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    save, saved = nib.save, []

    def failing(image: nib.Nifti1Image, path: Path) -> None:
        saved.append(path)
        if len(saved) == 8:  # in the middle of the second subject
            raise KeyboardInterrupt
        save(image, path)

    monkeypatch.setattr(write.nib, "save", failing)
    with pytest.raises(KeyboardInterrupt):
        write_phantom(tmp_path, 3, 2, 0, progress=False)
    assert [len(list(case.iterdir())) for case in tmp_path.glob("[HL]GG/*")] == [5]
    write_phantom(tmp_path, 3, 2, 0, progress=False)
    assert made == [0, 1, 1, 2]
    assert [len(list(case.iterdir())) for case in tmp_path.glob("[HL]GG/*")] == [5, 5, 5]
    assert not list(tmp_path.glob(".Phantom*"))


@pytest.mark.parametrize(("n", "spacing_mm", "seed"), [(2, 1, 0), (2, 2, 7), (1, 2, 0)])
def test_other_settings_are_refused_and_nothing_is_lost(
    tmp_path: Path, made: list[int], n: int, spacing_mm: int, seed: int
) -> None:
    write_phantom(tmp_path, 2, 2, 0, progress=False)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=r"Choose another folder"):
        write_phantom(tmp_path, n, spacing_mm, seed, progress=False)
    assert sorted(tmp_path.rglob("*")) == before
    assert made == [0, 1]


def test_a_folder_with_other_files_is_refused(tmp_path: Path, made: list[int]) -> None:
    (tmp_path / "patient.nii.gz").touch()
    with pytest.raises(UserError, match=r"patient|other files"):
        write_phantom(tmp_path, 1, 2, 0, progress=False)
    assert made == []


@pytest.mark.parametrize(("n", "spacing_mm", "seed"), [(0, 2, 0), (1, 3, 0), (1, 2, -1)])
def test_bad_arguments_write_nothing(tmp_path: Path, n: int, spacing_mm: int, seed: int) -> None:
    with pytest.raises(ValueError, match=r"must .* got"):
        write_phantom(tmp_path / "new", n, spacing_mm, seed, progress=False)
    assert not (tmp_path / "new").exists()


def test_command_line_writes_and_repeats(
    tmp_path: Path, made: list[int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = Path(__file__).parents[2] / "pipelines" / "phantom.py"
    monkeypatch.setattr(sys, "argv", ["phantom.py", f"PHANTOM={tmp_path}", "SUBJECTS=2"])
    for _ in range(2):
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(script), run_name="__main__")
        assert ended.value.code == 0
    assert made == [0, 1]
    said = capsys.readouterr()
    assert f"2 subjects in {tmp_path}" in said.out
    assert "subject/s" not in said.err  # a bar is for terminals
