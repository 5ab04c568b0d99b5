"""Several run folders teach as one; and a learned term in a run of the student's train.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import expit
from small_run import datalist, run_folder
from teacher_runs import teacher_run
from tiny import TINY, metrics, train, weights

from kd_monai.config.overlays import STUDENT, TEACHER
from kd_monai.teachers.several import TeacherEnsemble
from kd_monai.teachers.single import Teacher, read_teacher


def two(out: Path, **record: Any) -> list[Path]:
    """Teachers of T1 and FLAIR, and of T1ce and T1."""
    return [
        teacher_run(out / "a", modality="t1-flair", record={"run_key": "a" * 64}),
        teacher_run(out / "b", modality="t1-t1ce", record={"run_key": "b" * 64, **record}),
    ]


@pytest.mark.parametrize("said", [lambda a, b: f"{a},{b}", lambda a, b: f"{a} , {b},", lambda a, b: [a, str(b)]])
def test_several_folders_are_joined_by_commas_or_listed(said: Any, tmp_path: Path) -> None:
    teachers = read_teacher(said(*two(tmp_path)))
    assert isinstance(teachers, TeacherEnsemble)
    assert teachers.key == "a" * 64 + "," + "b" * 64
    assert teachers.modalities == ["t1", "t1ce", "flair"]
    teachers.check(datalist(), 2.0)


def test_each_reads_its_own_modalities_and_their_probabilities_are_averaged(tmp_path: Path) -> None:
    folders = two(tmp_path)
    image = torch.randn(1, 3, 32, 32, 32)  # t1, t1ce, flair
    with torch.no_grad():
        alone = [Teacher(folder).network(image[:, own]) for folder, own in zip(folders, ([0, 2], [0, 1]), strict=True)]
        teachers = read_teacher(folders)
        got = teachers.head.probabilities(teachers.network(image))
    np.testing.assert_allclose(got, np.mean([expit(logits.double().numpy()) for logits in alone], axis=0), atol=1e-6)
    assert not teachers.network.training


@pytest.mark.parametrize("as_said", [str, Path, lambda folder: [folder]])
def test_one_folder_is_one_teacher(as_said: Any, tmp_path: Path) -> None:
    assert isinstance(read_teacher(as_said(teacher_run(tmp_path / "teacher"))), Teacher)


@pytest.mark.parametrize("nothing", [None, "", " , ", []])
def test_no_folder_is_refused_with_what_to_write(nothing: Any) -> None:
    with pytest.raises(ValueError, match=r"none is named.*--teacher FOLDER.*make student"):
        read_teacher(nothing)


def test_teachers_of_different_heads_are_refused_with_both(tmp_path: Path) -> None:
    one, other = teacher_run(tmp_path / "a"), teacher_run(tmp_path / "b", head="labels")
    with pytest.raises(ValueError, match=rf"have one head; got .*{one}.*regions.*{other}.*labels"):
        read_teacher([one, other])


@pytest.mark.parametrize("record", [{"seen": ["e"]}, {"spacing_mm": 1.0}])
def test_every_one_of_them_is_checked_before_anything_is_written(record: dict[str, Any], tmp_path: Path) -> None:
    teachers = read_teacher(two(tmp_path, **record))
    with pytest.raises(ValueError, match=rf"Teacher {tmp_path}/b does not fit"):
        run_folder(tmp_path / "runs", teacher=teachers)
    assert not (tmp_path / "runs").exists()


def test_several_teachers_make_another_run_than_one(tmp_path: Path) -> None:
    folders = two(tmp_path)
    several, one = (run_folder(tmp_path / "runs", teacher=read_teacher(said)) for said in (folders, folders[:1]))
    assert several.path != one.path
    assert several.record["teacher_key"] == f"{one.record['teacher_key']},{'b' * 64}"


@pytest.fixture(scope="module")
def settings(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return {"dataset_dir": str(phantom), "output_dir": str(tmp_path_factory.mktemp("seam")), **TINY}


@pytest.fixture(scope="module")
def teachers(settings: dict[str, Any]) -> list[Any]:
    """Of another width than the student's, and of other modalities than one another's."""
    return [
        train(TEACHER, [], {**settings, "width": 2, "modality": modality}) for modality in ("t1-t1ce", "t1-t2-flair")
    ]


def test_a_student_of_another_width_learns_from_features_through_an_adapter(
    settings: dict[str, Any], teachers: list[Any]
) -> None:
    adapter = {"teacher": str(teachers[0].path), "terms#latent_kl#term#adapter": True}
    student = train(STUDENT, [], {**settings, **adapter})
    off = {"segmentation_weight": 1.0, **{f"terms#{name}#weight": 0.0 for name in ("soft_dice_bce", "latent_kl")}}
    silent = train(STUDENT, [], {**settings, **adapter, **off})
    baseline = train(STUDENT, [STUDENT / "configs" / "methods" / "baseline.yaml"], settings)
    learned, plain = weights(student.path), weights(baseline.path)
    assert learned.keys() == plain.keys()
    assert not all(torch.equal(value, plain[name]) for name, value in learned.items())
    assert all(torch.equal(value, plain[name]) for name, value in weights(silent.path).items())
    terms = [{key for key, _ in metrics(run.path, "train/loss/")} for run in (student, baseline, teachers[0])]
    assert terms[0] == {"train/loss/segmentation", "train/loss/soft_dice_bce", "train/loss/latent_kl"}
    assert terms[1] == terms[2] == {"train/loss/segmentation"}


def test_a_student_without_adapter_is_refused_with_what_to_set(settings: dict[str, Any], teachers: list[Any]) -> None:
    with pytest.raises(ValueError, match=r"\(1, 32, 2, 2, 2\).*\(1, 64, 2, 2, 2\).*`adapter: true` in the term"):
        train(STUDENT, [], {**settings, "teacher": str(teachers[0].path)})


def test_a_student_learns_from_several_teachers(settings: dict[str, Any], teachers: list[Any]) -> None:
    named = ",".join(str(run.path) for run in teachers)
    with pytest.raises(ValueError, match=r"layers of one teacher; got 2 teachers and layers \['down_4'\]"):
        train(STUDENT, [], {**settings, "teacher": named})
    outputs_alone = {"terms": {"kd": {"weight": 0.75, "term": {"_target_": "kd_monai.losses.terms.outputs.kl.KL"}}}}
    student = train(STUDENT, [], {**settings, **outputs_alone, "teacher": named})
    assert student.record["status"] == "FINISHED"
    assert student.record["teacher_key"] == ",".join(run.record["run_key"] for run in teachers)
