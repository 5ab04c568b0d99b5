"""MSD Task01 and nnU-Net raw."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_cases import write_msd, write_nnunet

from kd_monai.data import Datalist
from kd_monai.data.layouts.dataset_json import read_dataset_json
from kd_monai.errors import UserError


def test_msd_channels_are_flair_first(tmp_path: Path) -> None:
    found = read_dataset_json(write_msd(tmp_path) / "dataset.json")
    assert [entry["subject"] for entry in found.entries] == ["BRATS_000", "BRATS_001", "BRATS_002"]
    assert found.entries[0]["channels"] == {"flair": 0, "t1": 1, "t1ce": 2, "t2": 3}
    assert len(set(found.entries[0]["image"].values())) == 1
    assert found.convention == "msd"


def test_msd_is_loaded_with_its_own_convention(tmp_path: Path) -> None:
    datalist = Datalist.load(write_msd(tmp_path), modalities="t1ce")
    assert datalist.convention.name == "msd"
    assert datalist.sequences == ("t1", "t1ce", "t2", "flair")  # all channels of the file


def test_nnunet_reads_channel_names(tmp_path: Path) -> None:
    found = read_dataset_json(write_nnunet(tmp_path) / "dataset.json")
    assert found.layout == "nnunet"
    assert found.entries[2]["image"]["flair"] == str(tmp_path / "imagesTr" / "case2_0003.nii.gz")
    assert found.entries[2]["label"] == str(tmp_path / "labelsTr" / "case2.nii.gz")


def test_nnunet_with_labels_1_2_3_must_be_declared(tmp_path: Path) -> None:
    write_nnunet(tmp_path)
    with pytest.raises(UserError, match=r"declared.*edema.*Set LABELS.*nnU-Net's BraTS converters"):
        Datalist.load(tmp_path)
    assert Datalist.load(tmp_path, labels="msd").convention.name == "msd"


def test_nnunet_with_label_4_is_known(tmp_path: Path) -> None:
    assert Datalist.load(write_nnunet(tmp_path / "a", values=(1, 2, 4))).convention.name == "brats2018"
    assert Datalist.load(write_nnunet(tmp_path / "b", values=(1, 2, 3, 4))).convention.name == "brats2024"


def test_channels_of_another_kind_are_refused(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text(json.dumps({"channel_names": {"0": "CT"}}))
    with pytest.raises(UserError, match="CT"):
        read_dataset_json(tmp_path / "dataset.json")


def test_a_channel_that_the_file_lacks_is_an_error(tmp_path: Path) -> None:
    write_msd(tmp_path)
    path = tmp_path / "dataset.json"
    description = json.loads(path.read_text())
    description["modality"] = {"0": "FLAIR", "1": "T1w", "2": "t1gd", "4": "T2w"}
    path.write_text(json.dumps(description))
    with pytest.raises(UserError, match=r"BRATS_000.*has 4 channels, but channel 4"):
        Datalist.load(tmp_path)
