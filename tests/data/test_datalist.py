"""A data set, split."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest
from small_cases import NAMES_2023, write_brats, write_case

from kd_monai.data import Datalist
from kd_monai.data.entries import Entry
from kd_monai.errors import UserError


def names(entries: list[Entry]) -> list[str]:
    return [entry["subject"] for entry in entries]


@pytest.fixture(scope="module")
def brats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 subjects: 8 HGG, 4 LGG; 2 of the LGG without enhancing tumour."""
    return write_brats(tmp_path_factory.mktemp("brats"), 12, lgg=4, without_et=2)


def test_every_subject_is_tested_once_and_never_trained_on_by_its_run(brats: Path) -> None:
    tested = []
    for fold in range(3):
        datalist = Datalist.load(brats, fold=fold)
        parts = [set(names(part)) for part in (datalist.train, datalist.val, datalist.test)]
        assert sum(map(len, parts)) == len(set().union(*parts)) == 12
        assert all(entry["fold"] == fold for entry in datalist.test)
        tested += names(datalist.test)
    assert sorted(tested) == [f"S{number:02}" for number in range(12)]


def test_folds_balance_grade_and_enhancing_tumour(brats: Path) -> None:
    for fold in range(2):
        datalist = Datalist.load(brats, folds=2, fold=fold)
        without_et = {"S10", "S11"} & set(names(datalist.test))
        assert Counter(entry["grade"] for entry in datalist.test) == {"HGG": 4, "LGG": 2}
        assert len(without_et) == 1


def test_the_split_follows_from_the_seed(brats: Path) -> None:
    first, again, other = (Datalist.load(brats, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first.split_digest != other.split_digest
    assert first.digest == other.digest


def test_one_split_digest_for_all_folds_and_modalities(brats: Path) -> None:
    assert Datalist.load(brats, fold=0).split_digest == Datalist.load(brats, fold=1, modalities="t1").split_digest


def test_a_written_split_can_be_given_back(brats: Path, tmp_path: Path) -> None:
    datalist = Datalist.load(brats, folds=4, fold=3, seed=5)
    datalist.write_split(tmp_path / "split.json")
    again = Datalist.load(brats, folds=2, fold=3, seed=5, split_file=tmp_path / "split.json")
    assert again == datalist


def test_fewer_training_subjects_are_among_more_and_test_stays(brats: Path) -> None:
    full = Datalist.load(brats)
    previous: set[str] = set()
    for count in range(1, len(full.train) + 1):
        part = Datalist.load(brats, n_subjects=count)
        chosen = set(names(part.train))
        assert len(chosen) == count
        assert previous < chosen
        assert (part.val, part.test) == (full.val, full.test)
        previous = chosen
    with pytest.raises(UserError, match=f"N_SUBJECTS must be from 1 to {len(full.train)}"):
        Datalist.load(brats, n_subjects=len(full.train) + 1)


def test_all_trains_on_everyone(brats: Path) -> None:
    datalist = Datalist.load(brats, fold="all")
    assert len(datalist.train) == 12
    assert datalist.test == []
    assert set(names(datalist.val)) < set(names(datalist.train))


def test_folds_out_of_range_are_named(brats: Path) -> None:
    with pytest.raises(UserError, match=r"FOLD must be one of 0, 1, 2, all: got 3"):
        Datalist.load(brats, fold=3)
    with pytest.raises(UserError, match=r"FOLDS must be from 2 to the number of patients, 12: got 13"):
        Datalist.load(brats, folds=13)


def test_the_digest_is_of_names_and_contents_not_of_the_place(brats: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(brats, tmp_path / "moved"))
    assert Datalist.load(moved).digest == Datalist.load(brats, modalities="t2").digest
    write_case(moved / "HGG" / "S99", "S99")
    assert Datalist.load(moved).digest != Datalist.load(brats).digest


def test_time_points_of_a_patient_stay_together(tmp_path: Path) -> None:
    for patient in range(4):
        for time in range(2):
            write_case(tmp_path, f"BraTS-GLI-{patient:05}-{time:03}", (1, 2, 3), NAMES_2023)
    for fold in range(2):
        datalist = Datalist.load(tmp_path, folds=2, fold=fold)
        tested = {entry["patient"] for entry in datalist.test}
        assert len(datalist.test) == 2 * len(tested)
        assert not tested & {entry["patient"] for entry in [*datalist.train, *datalist.val]}
    assert datalist.convention.name == "brats2023"


def test_label_4_in_2023_names_is_the_resection_cavity(tmp_path: Path) -> None:
    for number in range(3):
        write_case(tmp_path, f"BraTS-GLI-0000{number}-100", (1, 2, 3, 4) if number else (1, 2, 3), NAMES_2023)
    assert Datalist.load(tmp_path).convention.name == "brats2024"


def test_too_few_to_train_and_validate_is_an_error(tmp_path: Path) -> None:
    write_brats(tmp_path, 2)
    with pytest.raises(UserError, match="leaves 0 subjects to train on and 1 to validate on"):
        Datalist.load(tmp_path, folds=2)


def test_real_cases_pass_and_spread_the_cases_without_enhancing_tumour(real_cases: Path) -> None:
    no_et = {"Brats18_TCIA09_177_1", "Brats18_TCIA09_402_1", "Brats18_TCIA09_493_1"}
    for fold in range(3):
        datalist = Datalist.load(real_cases, fold=fold)
        assert len(no_et & set(names(datalist.test))) == 1
        assert datalist.convention.name == "brats2018"
