"""Subjects to train on without references: who they may be, and that nothing reads a label of theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from shipped import cached_transforms
from small_cases import write_brats, write_case

from kd_monai.data import Datalist, WithUnlabelled, cache_dataset
from kd_monai.data.entries import Entry
from kd_monai.errors import UserError


def names(entries: list[Entry]) -> set[str]:
    return {entry["subject"] for entry in entries}


@pytest.fixture(scope="module")
def brats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_brats(tmp_path_factory.mktemp("brats"), 12)


@pytest.fixture
def hospital(tmp_path: Path) -> Path:
    """Three subjects; what stands for the label of one is no image."""
    for number in range(3):
        files = write_case(tmp_path / "hospital", f"H{number}", seed=50 + number)
        files["label"].unlink()
    files["label"].write_bytes(b"nobody may open this")
    return tmp_path / "hospital"


def test_without_the_wish_nobody_is_unlabelled(brats: Path) -> None:
    assert (Datalist.load(brats).unlabelled.entries, Datalist.load(brats).unlabelled.identity) == ([], None)


@pytest.mark.parametrize("fold", [0, "all"])
def test_the_rest_is_what_a_nested_subset_leaves_out_of_the_training_part(brats: Path, fold: int | str) -> None:
    whole, part = Datalist.load(brats, fold=fold), Datalist.load(brats, fold=fold, n_subjects=3, unlabelled="rest")
    assert names(part.unlabelled.entries) == names(whole.train) - names(part.train) - names(part.val)
    assert not any("label" in entry for entry in part.unlabelled.entries)
    assert part.unlabelled.identity == "rest"
    assert (part.val, part.test, part.digest, part.split) == (whole.val, whole.test, whole.digest, whole.split)


@pytest.mark.parametrize("n_subjects", [None, "all of them"])
def test_a_rest_of_nobody_is_refused(brats: Path, n_subjects: Any) -> None:
    number = len(Datalist.load(brats).train) if n_subjects else None
    with pytest.raises(UserError, match=rf"N_SUBJECTS leaves out; got N_SUBJECTS={number}.*Set N_SUBJECTS lower"):
        Datalist.load(brats, n_subjects=number, unlabelled="rest")


def test_a_folder_gives_subjects_whose_labels_are_not_opened(brats: Path, hospital: Path) -> None:
    datalist = Datalist.load(brats, unlabelled=hospital, modalities="t1-t1ce")
    assert names(datalist.unlabelled.entries) == {"H0", "H1", "H2"}
    assert all(entry.keys() >= {"image", "patient"} and "label" not in entry for entry in datalist.unlabelled.entries)
    assert all(set(entry["image"]) >= {"t1", "t1ce"} for entry in datalist.unlabelled.entries)
    assert datalist.digest == Datalist.load(brats).digest
    samples = cache_dataset(datalist.unlabelled.entries, datalist.sequences, cached_transforms())
    assert [set(sample) for sample in samples] == [{"image", "subject"}] * 3


def test_the_identity_of_a_folder_is_of_its_images(brats: Path, hospital: Path) -> None:
    identity = Datalist.load(brats, unlabelled=hospital).unlabelled.identity
    (hospital / "H2_seg.nii.gz").unlink()
    assert Datalist.load(brats, unlabelled=hospital).unlabelled.identity == identity
    write_case(hospital, "H1", seed=99)
    assert Datalist.load(brats, unlabelled=hospital).unlabelled.identity != identity


def test_their_images_are_checked(brats: Path, hospital: Path) -> None:
    (hospital / "H1_t2.nii.gz").write_bytes(b"broken")
    (hospital / "H0_flair.nii.gz").unlink()
    with pytest.raises(UserError, match=r"(?s)H0: modality flair.*is missing.*H1: the file .*H1_t2"):
        Datalist.load(brats, unlabelled=hospital)


@pytest.mark.parametrize("use", ["test", "val", "train"])
def test_a_patient_whom_the_fold_uses_is_refused_by_name(brats: Path, tmp_path: Path, use: str) -> None:
    patient = getattr(Datalist.load(brats), use)[0]["subject"]
    write_case(tmp_path / "more", patient)
    told = {"test": "test", "val": "validate", "train": "train"}[use]
    with pytest.raises(UserError, match=rf"subject {patient}: .*is there to {told}\. Move it out of UNLABELLED"):
        Datalist.load(brats, unlabelled=tmp_path / "more")


@pytest.mark.parametrize(("extension", "part"), [(".nii.gz", "test"), (".nii.gz", "val"), (".nii", "train")])
def test_a_labelled_subject_under_another_name_is_refused_by_its_bytes(
    extension: str, part: str, tmp_path: Path
) -> None:
    """Of other subjects than those trained on too: a teacher of all would know the reference."""
    for number in range(6):
        write_case(tmp_path / "data", f"S{number}", extension=extension, seed=number)
    (twin, *_) = getattr(Datalist.load(tmp_path / "data", n_subjects=1), part)
    write_case(tmp_path / "more", "N0", extension=extension, seed=50)
    copy = tmp_path / "more" / f"N0_t2{extension}"
    copy.write_bytes(Path(twin["image"]["t2"]).read_bytes())
    for n_subjects, memory in ((1, None), (2, tmp_path / "memory.json")):
        with pytest.raises(UserError, match=rf"subject N0: .*its t2, {copy}, is the file of subject {twin['subject']}"):
            Datalist.load(tmp_path / "data", n_subjects=n_subjects, unlabelled=tmp_path / "more", remember=memory)


def test_a_labelled_subject_that_the_subset_leaves_out_is_refused_under_another_name(
    brats: Path, tmp_path: Path
) -> None:
    whole, part = Datalist.load(brats), Datalist.load(brats, n_subjects=2)
    left_out = sorted(names(whole.train) - names(part.train))[0]
    write_case(tmp_path / "more", left_out, seed=int(left_out[1:]))
    assert names(Datalist.load(brats, n_subjects=2, unlabelled=tmp_path / "more").unlabelled.entries) == {left_out}
    for file in (tmp_path / "more").iterdir():
        file.rename(file.with_name(file.name.replace(left_out, "N0")))
    with pytest.raises(UserError, match=rf"subject N0: .*is the file of subject {left_out}"):
        Datalist.load(brats, n_subjects=2, unlabelled=tmp_path / "more")


def test_another_time_point_of_a_test_patient_is_refused(tmp_path: Path) -> None:
    for number in range(6):
        write_case(tmp_path / "data", f"Brats18_A_{number}_1")
    tested = Datalist.load(tmp_path / "data").test[0]["subject"]
    write_case(tmp_path / "more", f"{tested[:-1]}2")
    with pytest.raises(UserError, match=rf"subject {tested[:-1]}2: .*patient {tested[:-2]} is there to test"):
        Datalist.load(tmp_path / "data", unlabelled=tmp_path / "more")


def test_a_folder_that_is_not_there_is_refused_by_its_variable(brats: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"UNLABELLED must name a folder.*does not exist\. Correct UNLABELLED"):
        Datalist.load(brats, unlabelled=tmp_path / "none")


def test_unlabelled_samples_stand_behind_the_labelled_ones_with_the_label_they_were_given() -> None:
    guess = np.zeros((4, 5, 6), np.uint8)
    guess[1:3, 2:4, 3] = 4
    guess[1, 2, 4] = 1
    given = torch.from_numpy(guess)[None]
    labelled = [{"image": torch.ones(1, 4, 5, 6), "label": torch.ones(1, 4, 5, 6), "subject": "a"}]
    both = WithUnlabelled(labelled, [{"image": torch.zeros(1, 4, 5, 6), "subject": "b"}], [given])  # type: ignore[arg-type]
    assert len(both) == 2
    assert [both[i]["subject"] for i in range(2)] == ["a", "b"]
    assert [bool(both[i]["labelled"]) for i in range(2)] == [True, False]
    np.testing.assert_array_equal(both[1]["label"], guess[None])
    with pytest.raises(ValueError, match="got 0 for 1"):
        WithUnlabelled(labelled, [{"subject": "b"}], [])  # type: ignore[arg-type]
