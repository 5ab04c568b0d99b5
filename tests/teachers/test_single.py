"""A teacher is what `make teacher` wrote, finished, on the student's grid and ignorant of the student's test fold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from small_run import datalist, run_folder
from teacher_runs import RECORD, teacher_run

from kd_monai.teachers.several import TeacherEnsemble
from kd_monai.teachers.single import Teacher


def test_a_finished_teacher_gives_its_network_head_and_modalities(tmp_path: Path) -> None:
    folder = teacher_run(tmp_path / "teacher", head="labels")
    teacher = Teacher(folder)
    assert teacher.key == RECORD["run_key"]
    assert list(teacher.modalities) == ["t1", "flair"]
    assert teacher.head.name == "labels"
    assert not teacher.network.training
    for name, weight in torch.load(folder / "model.pt", weights_only=True).items():
        assert torch.equal(teacher.network.state_dict()[name], weight)
    assert teacher.network(torch.zeros(1, 2, 32, 32, 32)).shape == (1, 4, 32, 32, 32)
    teacher.check(datalist(), 2.0)


def test_a_folder_is_found_from_home_and_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    teacher_run(tmp_path / "teacher")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert Teacher("~/teacher").key == Teacher("teacher").key == RECORD["run_key"]


def test_layers_are_found_by_what_they_are(tmp_path: Path) -> None:
    folder = teacher_run(tmp_path / "teacher", taps={"bottleneck": "down_4"})
    teacher = Teacher(folder)
    assert teacher.tap("bottleneck") == "down_4"
    assert TeacherEnsemble([teacher, teacher]).tap("bottleneck") == "down_4"
    with pytest.raises(ValueError, match=r"must name the layer 'decoder' in `taps`; got \['bottleneck'\]\. Train"):
        teacher.tap("decoder")


@pytest.mark.parametrize("nothing", [None, ""])
def test_no_folder_is_refused_with_what_to_write(nothing: str | None) -> None:
    with pytest.raises(ValueError, match=r"none is named.*--teacher FOLDER.*make student"):
        Teacher(nothing)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    named = rf"{tmp_path}/none has no run\.json, config\.yaml, split\.json\. Correct TEACHER"
    with pytest.raises(ValueError, match=named):
        Teacher(tmp_path / "none")


@pytest.mark.parametrize("file", ["run.json", "config.yaml", "split.json"])
def test_a_folder_that_is_no_run_is_refused(file: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"run folder that `make teacher` wrote; .* has no {file}"):
        Teacher(teacher_run(tmp_path / "teacher", without=file))


@pytest.mark.parametrize("role", ["student", "baseline", "fixed_mask"])
def test_another_role_is_refused(role: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"{tmp_path}/run does not fit: its role must be teacher; got {role}"):
        Teacher(teacher_run(tmp_path / "run", record={"role": role}))


@pytest.mark.parametrize("status", ["RUNNING", "FAILED", "KILLED"])
def test_an_unfinished_training_is_refused(status: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"must be finished; got {status}\. Run `make teacher`"):
        Teacher(teacher_run(tmp_path / "teacher", record={"status": status}))


def test_a_teacher_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must be finished; got no model\.pt"):
        Teacher(teacher_run(tmp_path / "teacher", without="model.pt"))


def test_a_record_that_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    folder = teacher_run(tmp_path / "teacher")
    (folder / "run.json").write_text('{"role": "teach')
    with pytest.raises(ValueError, match=rf"{folder} does not fit: its run\.json must be JSON"):
        Teacher(folder)


@pytest.mark.parametrize("spacing_mm", [1.0, None, [2.0, 2.0, 1.0]])
def test_another_spacing_is_refused_with_both(spacing_mm: Any, tmp_path: Path) -> None:
    teacher = Teacher(teacher_run(tmp_path / "teacher"))
    with pytest.raises(ValueError, match=r"student's spacing, .* mm; got 2\.0\. Use one RECIPE"):
        teacher.check(datalist(), spacing_mm)


def test_a_teacher_that_has_seen_test_subjects_is_refused(tmp_path: Path) -> None:
    """A teacher of another fold, or of all: its student would be tested on what the teacher has told it."""
    teacher = Teacher(teacher_run(tmp_path / "teacher", record={"seen": ["a", "e", "f"]}))
    with pytest.raises(ValueError, match=r"must not have seen test subjects.*got 2 of them, e first.*FOLD"):
        teacher.check(datalist(), 2.0)
    teacher.check(datalist(test=("g",)), 2.0)


def test_a_run_folder_checks_its_teacher_before_anything_is_written(tmp_path: Path) -> None:
    teacher = Teacher(teacher_run(tmp_path / "teacher", record={"seen": ["e"]}))
    with pytest.raises(ValueError, match="must not have seen"):
        run_folder(tmp_path / "runs", teacher=teacher)
    assert not (tmp_path / "runs").exists()


def test_another_teacher_makes_another_run(tmp_path: Path) -> None:
    teachers = [Teacher(teacher_run(tmp_path / key, record={"run_key": key})) for key in ("one", "two")]
    one, two = (run_folder(tmp_path / "runs", teacher=teacher) for teacher in teachers)
    assert one.path != two.path
    assert one.record["teacher_key"] == "one"


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def executable(path: Path) -> None:
    torch.save({"weight": Path("/")}, path)


def of_another_network(path: Path) -> None:
    torch.save({"weight": torch.ones(1)}, path)


def one_bit_changed(path: Path) -> None:
    """In the last tensor; torch.load takes it without a word."""
    content = bytearray(path.read_bytes())
    weight = torch.load(path, weights_only=True)["final_conv.weight"].numpy().tobytes()
    content[content.index(weight)] ^= 1
    path.write_bytes(bytes(content))
    torch.load(path, weights_only=True)


@pytest.mark.parametrize("spoil", [truncated, empty, executable, of_another_network, one_bit_changed])
def test_weights_that_its_training_did_not_write_are_refused_before_anything_starts(
    spoil: Callable[[Path], None], tmp_path: Path
) -> None:
    folder = teacher_run(tmp_path / "teacher")
    spoil(folder / "model.pt")
    with pytest.raises(ValueError, match=rf"{folder} does not fit: model\.pt must be the file its training wrote"):
        run_folder(tmp_path / "runs", teacher=Teacher(folder))
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("spoil", [truncated, empty, executable, of_another_network])
def test_weights_are_its_own_networks_tensors_and_nothing_that_runs(
    spoil: Callable[[Path], None], tmp_path: Path
) -> None:
    folder = teacher_run(tmp_path / "teacher")
    spoil(folder / "model.pt")
    with pytest.raises(ValueError, match=rf"{folder} does not fit: model\.pt must hold the weights of its own network"):
        _ = Teacher(folder).network
