"""Subjects of a BraTS folder, in the trees in which people keep it."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_cases import NAMES_2023, write_case

from kd_monai.data.layouts.brats_folder import patient_of, read_brats_folder


def test_grade_follows_from_the_folder(tmp_path: Path) -> None:
    write_case(tmp_path / "HGG" / "A", "A")
    write_case(tmp_path / "LGG" / "B", "B", extension=".nii")
    found = read_brats_folder(tmp_path)
    assert [(entry["subject"], entry["grade"]) for entry in found.entries] == [("A", "HGG"), ("B", "LGG")]
    assert set(found.entries[1]["image"]) == {"t1", "t1ce", "t2", "flair"}
    assert found.entries[1]["image"]["t1ce"] == str(tmp_path / "LGG" / "B" / "B_t1ce.nii")
    assert found.convention == "brats2018"
    assert not found.problems


def test_grade_follows_from_name_mapping(tmp_path: Path) -> None:
    write_case(tmp_path / "BraTS20_Training_001", "BraTS20_Training_001")
    table = "Grade,BraTS_2019_subject_ID,BraTS_2020_subject_ID\nLGG,BraTS19_X_1,BraTS20_Training_001\n"
    (tmp_path / "name_mapping.csv").write_text(table)
    assert read_brats_folder(tmp_path).entries[0]["grade"] == "LGG"


@pytest.mark.parametrize("folder", [".", "a/b/c"])
def test_files_may_lie_flat_or_deep(tmp_path: Path, folder: str) -> None:
    for name in ("BraTS2021_00000", "BraTS2021_00002"):
        write_case(tmp_path / folder, name)
    found = read_brats_folder(tmp_path)
    assert [entry["subject"] for entry in found.entries] == ["BraTS2021_00000", "BraTS2021_00002"]
    assert [entry["grade"] for entry in found.entries] == [None, None]


def test_names_of_2023_are_the_same_modalities(tmp_path: Path) -> None:
    write_case(tmp_path / "BraTS-GLI-00002-001", "BraTS-GLI-00002-001", (1, 2, 3), NAMES_2023)
    found = read_brats_folder(tmp_path)
    entry = found.entries[0]
    assert found.layout == found.convention == "brats2023"
    assert entry["patient"] == "BraTS-GLI-00002"
    assert entry["image"]["t1ce"].endswith("-t1c.nii.gz")
    assert entry["image"]["flair"].endswith("-t2f.nii.gz")


@pytest.mark.parametrize("year", ["Brats17", "Brats18", "BraTS19"])
def test_time_points_have_one_patient_whatever_the_year_writes_large(year: str) -> None:
    assert {patient_of(f"{year}_CBICA_AAB_{time}") for time in (1, 2)} == {f"{year}_CBICA_AAB"}
    assert patient_of(f"{year}_2013_11_1") == f"{year}_2013_11"  # 11 is the patient


@pytest.mark.parametrize("name", ["BraTS20_Training_{}", "BraTS2021_{}", "BraTS19_Training_HGG_{}", "BraTS-GLI-{}-000"])
def test_patients_with_a_number_in_their_names_stay_apart(name: str) -> None:
    assert len({patient_of(name.format(number)) for number in ("001", "002", "010")}) == 3


def test_folders_named_like_files_are_descended_into(tmp_path: Path) -> None:
    for kind, path in write_case(tmp_path / "files", "A", extension=".nii").items():
        target = tmp_path / "kaggle" / "A" / path.name / path.name
        target.parent.mkdir(parents=True)
        path.rename(target)
        assert target.is_file(), kind
    assert len(read_brats_folder(tmp_path / "kaggle").entries[0]["image"]) == 4


def test_a_link_back_up_ends(tmp_path: Path) -> None:
    write_case(tmp_path / "A", "A")
    (tmp_path / "A" / "up").symlink_to(tmp_path)
    found = read_brats_folder(tmp_path)
    assert len(found.entries) == 1
    assert not found.problems


def test_hidden_files_are_none_of_ours(tmp_path: Path) -> None:
    write_case(tmp_path, "A")
    (tmp_path / "._A_t1.nii.gz").write_bytes(b"")
    assert [entry["subject"] for entry in read_brats_folder(tmp_path).entries] == ["A"]


def test_names_of_two_years_give_no_convention(tmp_path: Path) -> None:
    write_case(tmp_path, "A")
    write_case(tmp_path, "B", (1, 2, 3), NAMES_2023)
    found = read_brats_folder(tmp_path)
    assert found.convention is None
    assert "mixed" in found.hint


def test_an_empty_folder_says_what_was_expected(tmp_path: Path) -> None:
    (problem,) = read_brats_folder(tmp_path).problems
    assert str(tmp_path) in problem
    assert "dataset.json" in problem
