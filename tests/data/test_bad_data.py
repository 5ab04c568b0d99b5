"""Everything that can be wrong with data is said before training, with subject, file and remedy."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from small_cases import AFFINE, save, volumes, write_brats

from kd_monai.data import Datalist
from kd_monai.data.checks import files
from kd_monai.data.entries import data_error
from kd_monai.errors import UserError

SUBJECT = "S01"


def path_of(root: Path, kind: str) -> Path:
    return root / "HGG" / SUBJECT / f"{SUBJECT}_{kind}.nii.gz"


def remove_t1ce(root: Path) -> None:
    path_of(root, "t1ce").unlink()


def remove_label(root: Path) -> None:
    path_of(root, "seg").unlink()


def two_files(root: Path) -> None:
    save(path_of(root, "t2").with_name(f"{SUBJECT}_t2.nii"), volumes()["t2"])


def truncate(root: Path) -> None:
    path = path_of(root, "flair")
    path.write_bytes(path.read_bytes()[:-200])


def truncate_uncompressed(root: Path) -> None:
    path = path_of(root, "t1")
    content = gzip.decompress(path.read_bytes())
    path.unlink()
    path.with_suffix("").write_bytes(content[:-100])


def spoil_one_byte(root: Path) -> None:
    path = path_of(root, "flair")
    content = bytearray(path.read_bytes())
    content[-8] ^= 1  # of the checksum at the end
    path.write_bytes(bytes(content))


def not_an_image(root: Path) -> None:
    path_of(root, "t1").write_bytes(b"<html>404</html>")


def other_shape(root: Path) -> None:
    save(path_of(root, "t1"), volumes()["t1"][:-1])


def other_affine(root: Path) -> None:
    moved = AFFINE.copy()
    moved[2, 3] += 3
    save(path_of(root, "t2"), volumes()["t2"], moved)


def four_dimensions(root: Path) -> None:
    save(path_of(root, "t1"), np.stack([volumes()["t1"]] * 2, axis=-1))


def label_of_2023(root: Path) -> None:
    save(path_of(root, "seg"), volumes(values=(1, 2, 3))["label"])


def interpolated_label(root: Path) -> None:
    save(path_of(root, "seg"), volumes()["label"] * np.float32(0.4))


def rescaled_label(root: Path) -> None:
    voxels = volumes()["label"].astype(np.float32)
    voxels[voxels == 4] = np.float32(3.9995)
    save(path_of(root, "seg"), voxels)


def nan_voxels(root: Path) -> None:
    voxels = volumes()["t1ce"].astype(np.float32)
    voxels[3, 4, 5:7] = np.nan
    save(path_of(root, "t1ce"), voxels)


def all_zero(root: Path) -> None:
    save(path_of(root, "flair"), np.zeros_like(volumes()["flair"]))


BREAKAGES: dict[Callable[[Path], None], tuple[str, str]] = {
    remove_t1ce: ("", "modality t1ce, which this run reads, is missing.*Add the file, or leave t1ce out"),
    remove_label: ("", "no label lies in.*Add it"),
    two_files: ("t2.nii.gz", "one file per modality is allowed, but 2 claim t2.*Remove"),
    truncate: ("flair.nii.gz", "truncated.*again"),
    truncate_uncompressed: ("t1.nii", "cannot be read.*Replace"),
    spoil_one_byte: ("flair.nii.gz", "corrupt.*again"),
    not_an_image: ("t1.nii.gz", "cannot be read.*Replace"),
    other_shape: ("t1.nii.gz", r"one shape.*t1 \(11, 14, 10\).*Resample"),
    other_affine: ("t2.nii.gz", "one affine.*3 mm.*Resample"),
    four_dimensions: ("t1.nii.gz", "must be 3-D.*Replace"),
    label_of_2023: ("seg.nii.gz", r"also has \[3\].*LABELS=brats2023"),
    interpolated_label: ("seg.nii.gz", "whole numbers.*0.4.*write it again"),
    rescaled_label: ("seg.nii.gz", "whole numbers exactly.*3.9995.*write it again"),
    nan_voxels: ("t1ce.nii.gz", "2 NaN or infinite voxels.*Repair"),
    all_zero: ("flair.nii.gz", "zero everywhere.*Replace"),
}


@pytest.mark.parametrize("breakage", BREAKAGES, ids=lambda breakage: breakage.__name__)
def test_the_error_names_subject_file_and_remedy(tmp_path: Path, breakage: Callable[[Path], None]) -> None:
    breakage(write_brats(tmp_path))
    name, complaint = BREAKAGES[breakage]
    with pytest.raises(UserError) as error:
        Datalist.load(tmp_path)
    problem = str(error.value)
    assert "\n" not in problem
    assert problem.startswith(f"subject {SUBJECT}: ")
    assert name in problem
    assert re.search(complaint, problem)


def test_a_modality_that_this_run_does_not_read_may_be_missing_or_spoilt(tmp_path: Path) -> None:
    write_brats(tmp_path)
    remove_t1ce(tmp_path)
    truncate(tmp_path)
    assert Datalist.load(tmp_path, modalities="t1-t2").modalities == ("t1", "t2")


def test_all_problems_stand_in_one_message_the_first_twenty_in_full(tmp_path: Path) -> None:
    write_brats(tmp_path)
    remove_t1ce(tmp_path)
    truncate(tmp_path)
    label_of_2023(tmp_path)
    with pytest.raises(UserError, match="3 problems"):
        Datalist.load(tmp_path)
    message = str(data_error([f"problem {number};" for number in range(30)]))
    assert "problem 19;" in message
    assert "problem 20;" not in message
    assert "10 more" in message


def test_an_unknown_modality_convention_or_folder_is_named(tmp_path: Path) -> None:
    write_brats(tmp_path)
    with pytest.raises(ValueError, match=r"one of t1, t1ce, t2, flair.*'ct'"):
        Datalist.load(tmp_path, modalities="ct")
    with pytest.raises(UserError, match=r"LABELS must be auto or one of brats2018.*'brats2019'"):
        Datalist.load(tmp_path, labels="brats2019")
    with pytest.raises(UserError, match=f"{tmp_path}/nowhere does not exist"):
        Datalist.load(tmp_path / "a" / ".." / "nowhere")


def test_a_file_that_passed_is_read_again_only_when_it_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, remember = write_brats(tmp_path / "data"), tmp_path / "checked.json"
    Datalist.load(data, remember=remember)
    inspected = []
    inspect = files.inspect_image
    monkeypatch.setattr(
        files, "inspect_image", lambda path, channels=(): inspected.append(path) or inspect(path, channels)
    )
    Datalist.load(data, remember=remember)
    assert inspected == []
    all_zero(data)
    with pytest.raises(UserError, match="zero everywhere"):
        Datalist.load(data, remember=remember)
    assert inspected == [str(path_of(data, "flair"))]
    with pytest.raises(UserError, match="zero everywhere"):  # what failed is never remembered
        Datalist.load(data, remember=remember)


@pytest.mark.parametrize("content", ["", "[1]", '{"a": 1}', '{"facts": {"a": 1}}', '{"sha256": [1]}'])
def test_a_spoilt_memory_costs_a_second_look_only(tmp_path: Path, content: str) -> None:
    data, remember = write_brats(tmp_path / "data"), tmp_path / "checked.json"
    remember.write_text(content)
    assert Datalist.load(data, remember=remember) == Datalist.load(data)


def test_whole_numbers_may_be_written_as_floats(tmp_path: Path) -> None:
    data = write_brats(tmp_path)
    before = Datalist.load(data)
    save(path_of(data, "seg"), volumes(1)["label"].astype(np.float64))
    assert Datalist.load(data).split == before.split
