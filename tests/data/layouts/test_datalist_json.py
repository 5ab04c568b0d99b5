"""MONAI's datalist JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from small_cases import write_case

from kd_monai.data import Datalist
from kd_monai.errors import UserError


def write_list(root: Path, name: str = "datalist.json", **top: Any) -> Path:
    """List of three subjects; each image is a list of files in an order of its own."""
    training = []
    for number in range(3):
        files = write_case(root / f"S{number}", f"S{number}", seed=number)
        relative = {kind: str(path.relative_to(root)) for kind, path in files.items()}
        image = [relative[kind] for kind in ("flair", "t1ce", "t1", "t2")]
        training.append({"image": image, "label": relative["label"], "grade": "HGG"})
    path = root / name
    path.write_text(json.dumps({"training": training, **top}))
    return path


def change(path: Path, **items: Any) -> None:
    """Set keys of the first training item."""
    content = json.loads(path.read_text())
    content["training"][0].update(items)
    path.write_text(json.dumps(content))


def test_modalities_follow_from_file_names(tmp_path: Path) -> None:
    datalist = Datalist.load(write_list(tmp_path, label_convention="brats2018"))
    entry = next(entry for entry in [*datalist.train, *datalist.val, *datalist.test] if entry["subject"] == "S1")
    assert entry["image"]["t1ce"] == str(tmp_path / "S1" / "S1_t1ce.nii.gz")
    assert entry["grade"] == "HGG"
    assert datalist.layout == "datalist"


def test_a_list_called_dataset_json_is_a_datalist_all_the_same(tmp_path: Path) -> None:
    write_list(tmp_path, "dataset.json")
    assert Datalist.load(tmp_path).layout == "datalist"


def test_modalities_may_be_declared(tmp_path: Path) -> None:
    path = write_list(tmp_path, modalities=["t1", "t2", "flair", "t1ce"])
    datalist = Datalist.load(path)
    assert datalist.train[0]["image"]["t1"].endswith("_flair.nii.gz")


def test_image_may_be_a_mapping(tmp_path: Path) -> None:
    path = write_list(tmp_path)
    change(path, image={"T1-Gd": "S0/S0_t1ce.nii.gz"}, subject="zero")
    datalist = Datalist.load(path, modalities="t1ce")
    entries = [*datalist.train, *datalist.val, *datalist.test]
    assert {entry["subject"] for entry in entries} == {"zero", "S1", "S2"}


def test_a_sequence_that_no_network_knows_is_not_read(tmp_path: Path) -> None:
    path = write_list(tmp_path)
    change(path, image={"t1ce": "S0/S0_t1ce.nii.gz", "adc": "S0/S0_adc.nii.gz"}, subject="zero")
    datalist = Datalist.load(path, modalities="t1ce")
    assert not any("adc" in entry["image"] for entry in [*datalist.train, *datalist.val, *datalist.test])
    assert datalist.sequences == ("t1ce",)  # zero has no other


def test_a_list_without_names_must_declare_its_modalities(tmp_path: Path) -> None:
    path = write_list(tmp_path)
    change(path, image=["S0/S0_a.nii.gz"])
    with pytest.raises(UserError, match=r"S0.*modality of S0/S0_a.nii.gz is not known"):
        Datalist.load(path)


def test_a_subject_may_stand_once(tmp_path: Path) -> None:
    path = write_list(tmp_path)
    change(path, subject="S2")
    with pytest.raises(UserError, match=r"subject S2: .*twice"):
        Datalist.load(path)


def test_given_folds_are_used(tmp_path: Path) -> None:
    path = write_list(tmp_path)
    content = json.loads(path.read_text())
    for number, item in enumerate(content["training"]):
        item["fold"] = number
    path.write_text(json.dumps(content))
    assert [entry["subject"] for entry in Datalist.load(path, folds=2, fold=2).test] == ["S2"]
    change(path, fold=None)
    with pytest.raises(UserError, match="in every training item, or in none"):
        Datalist.load(path)


def test_a_patient_in_two_given_folds_is_an_error(tmp_path: Path) -> None:
    path = write_list(tmp_path)
    content = json.loads(path.read_text())
    for number, item in enumerate(content["training"]):
        item.update(fold=number, patient="P" if number else "Q")
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"all time points of patient P"):
        Datalist.load(path)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "must be a JSON file"),
        ("[]", "a list 'training'"),
        ('{"training": [{"image": "a"}]}', "training item 0"),
        ('{"training": [{"label": "a"}], "label_convention": "brats"}', "label_convention must be one of"),
    ],
)
def test_what_is_no_datalist_is_named(tmp_path: Path, content: str, complaint: str) -> None:
    path = tmp_path / "list.json"
    path.write_text(content)
    with pytest.raises(UserError, match=complaint) as error:
        Datalist.load(path)
    assert str(path) in str(error.value)
