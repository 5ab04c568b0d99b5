"""Cross-fitted teachers: who teaches whom, what is refused, and a student that they teach."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from monai.engines.utils import IterationEvents
from small_run import datalist, run_folder
from small_volumes import once, short, write_volumes
from teacher_runs import teacher_run, with_unlabelled
from tiny import train

from kd_monai.config.overlays import STUDENT, TEACHER, train_files
from kd_monai.config.plan import Plan, read_plans
from kd_monai.config.variables import read_command
from kd_monai.handlers import ProgressHandler, TeacherHandler
from kd_monai.teachers.several import CrossFittedTeachers
from kd_monai.teachers.single import Teacher, read_teacher
from kd_monai.training.preflight import read_datalist
from kd_monai.training.workflow import train_teachers

SEEN = {"whole": "abcd", "0": "bcd", "1": "acd", "2": "abd"}
"""Patients a, b and c are trained on, d is validated with; each inner teacher leaves one out."""


def folders(out: Path, seen: dict[str, str] = SEEN, **settings: Any) -> list[Path]:
    return [
        teacher_run(out / name, record={"run_key": name * 8, "seen": list(patients)}, **settings)
        for name, patients in seen.items()
    ]


def test_each_subject_is_taught_by_a_teacher_that_has_not_seen_it(tmp_path: Path) -> None:
    teachers = read_teacher(folders(tmp_path), "crossfit")
    assert isinstance(teachers, CrossFittedTeachers)
    route = teachers.route(datalist())
    assert route == {"a": 1, "b": 2, "c": 3}
    assert all(subject not in teachers.teachers[number].seen for subject, number in route.items())
    teachers.check(datalist(), 2.0)


def test_an_unlabelled_subject_is_taught_by_the_teacher_that_has_seen_most(tmp_path: Path) -> None:
    route = read_teacher(folders(tmp_path), "crossfit").route(with_unlabelled("x", "y"))
    assert route == {"a": 1, "b": 2, "c": 3, "x": 0, "y": 0}


def test_of_teachers_that_have_seen_as_many_each_takes_its_turn_and_a_patient_has_one(tmp_path: Path) -> None:
    teachers = read_teacher(folders(tmp_path)[1:], "crossfit")
    data = with_unlabelled("u", "v", "w", "x", "y", "z")
    data.unlabelled.entries[1]["patient"] = "u"
    route = teachers.route(data)
    assert {route[name] for name in "uvwxyz"} == {0, 1, 2}
    assert route["u"] == route["v"]


def test_a_subject_that_every_teacher_has_seen_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    teachers = read_teacher(folders(tmp_path, {**SEEN, "2": "abcd"}), "crossfit")
    with pytest.raises(ValueError, match=r"teacher that has not seen it; all of .* have seen 1 of 3, c first"):
        run_folder(tmp_path / "runs", teacher=teachers)
    assert not (tmp_path / "runs").exists()


def test_a_teacher_that_has_seen_test_subjects_is_refused_among_others(tmp_path: Path) -> None:
    teachers = read_teacher(folders(tmp_path, {**SEEN, "1": "acde"}), "crossfit")
    with pytest.raises(ValueError, match=rf"Teacher {tmp_path}/1 does not fit: it must not have seen test subjects"):
        teachers.check(datalist(), 2.0)


@pytest.mark.parametrize(("name", "value"), [("head", "labels"), ("modality", "t1-t2"), ("taps", {"bottleneck": "x"})])
def test_teachers_that_are_not_alike_are_refused_with_both(name: str, value: Any, tmp_path: Path) -> None:
    found = [*folders(tmp_path, {"0": "bcd"}), teacher_run(tmp_path / "other", **{name: value})]
    with pytest.raises(ValueError, match=rf"have one `{name}`; {tmp_path}/0 has .*{tmp_path}/other"):
        read_teacher(found, "crossfit")


def test_networks_of_other_widths_are_refused_with_both(tmp_path: Path) -> None:
    found = [*folders(tmp_path, {"0": "bcd"}), teacher_run(tmp_path / "other", width=3, record={"seen": ["a", "d"]})]
    with pytest.raises(ValueError, match=r"have one `network_def`; .*\[2, 2, 3, 3, 3\].*\[3, 2, 3, 3, 3\]"):
        read_teacher(found, "crossfit").check(datalist(), 2.0)


def test_one_teacher_cannot_be_cross_fitted_and_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    (one,) = folders(tmp_path, {"whole": "abcd"})
    with pytest.raises(ValueError, match=rf"several teachers; got {one} alone.*TEACHERS=single"):
        read_teacher(one, "crossfit")
    with pytest.raises(ValueError, match=r"`teachers` \(TEACHERS\) must be one of single, crossfit; got 'cross'"):
        read_teacher(one, "cross")  # type: ignore[arg-type]


def test_the_whole_one_is_the_one_that_has_seen_all(tmp_path: Path) -> None:
    found = folders(tmp_path)
    assert read_teacher(found[::-1], "crossfit").initial_teacher.folder == found[0]
    with pytest.raises(ValueError, match=r"none of .* has seen all of it.*INIT=random"):
        _ = read_teacher(found[1:], "crossfit").initial_teacher


def test_a_teacher_that_has_seen_references_of_unlabelled_subjects_is_refused(tmp_path: Path) -> None:
    teacher = Teacher(folders(tmp_path, {"whole": "abcdx"})[0])
    teacher.check(datalist(), 2.0)
    with pytest.raises(ValueError, match=r"references of unlabelled subjects \(UNLABELLED\); got 1 of them, x first"):
        teacher.check(with_unlabelled("x", "y"), 2.0)


@pytest.mark.parametrize("name", ["whole", "1"])
def test_of_cross_fitted_teachers_none_may_have_seen_them_whomever_it_teaches(name: str, tmp_path: Path) -> None:
    """With INIT=teacher the student would start from weights that hold x's reference, and b would be taught by them."""
    teachers = read_teacher(folders(tmp_path, {**SEEN, name: SEEN[name] + "x"}), "crossfit")
    teachers.check(datalist(), 2.0)
    with pytest.raises(ValueError, match=rf"Teacher {tmp_path}/{name} .*unlabelled subjects .*got 1 of them, x first"):
        run_folder(tmp_path / "runs", teacher=teachers, data=with_unlabelled("x", "y"))
    assert not (tmp_path / "runs").exists()


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("crossfit")
    return short(write_volumes(out / "data"), out / "runs")


@pytest.fixture(scope="module")
def taught(settings: dict[str, Any]) -> list[Any]:
    """The teacher of the training part and those of its three inner folds, of one epoch each."""
    inner = [{}, *({"inner_fold": f"{k}/3"} for k in range(3))]
    return [train(TEACHER, [], {**settings, "epochs": 1, **own}) for own in inner]


@pytest.fixture(scope="module")
def patients(settings: dict[str, Any]) -> dict[str, str]:
    """Subject -> patient of the training part."""
    plan = Plan.read("teacher", TEACHER, train_files(TEACHER), settings)
    return {entry["subject"]: entry["patient"] for entry in read_datalist(plan).train}


def test_inner_teachers_are_runs_of_their_own_that_have_not_seen_their_inner_fold(
    taught: list[Any], patients: dict[str, str]
) -> None:
    all_seen, *inner = (set(run.record["seen"]) for run in taught)
    assert len({run.record["run_key"] for run in taught}) == 4
    names = [run.path.name.partition("-fold0-")[0] for run in taught]
    assert names == ["teacher", *(f"teacher_without_{k}_of_3" for k in range(3))]
    left_out = [all_seen - seen for seen in inner]
    assert all(len(of_fold) == 1 for of_fold in left_out)
    assert set().union(*left_out) == set(patients.values())


def test_inner_teachers_are_those_of_the_students_teacher_whatever_the_students_variables(
    settings: dict[str, Any], taught: list[Any]
) -> None:
    """Another command trained them; a student that trained its own would wait hours for teachers of its width."""
    line = [f"DATA={settings['dataset_dir']}", f"OUT={settings['output_dir']}", f"TEACHER={taught[0].path}"]
    line += ["N_SUBJECTS=2", "SET=width=3", "EPOCHS=9", "NETWORK=segresnet", "DEVICE=cpu", "TEACHERS=crossfit"]
    plans = read_plans(read_command(["student", *line]), "student")
    assert train_teachers(plans) == [run.path for run in taught]


@pytest.mark.slow
def test_a_student_is_taught_by_teachers_that_have_not_seen_its_samples_and_resumes_bit_for_bit(
    settings: dict[str, Any],
    taught: list[Any],
    patients: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With batches of two subjects, KD-Net's features included."""
    own = {
        **settings, "output_dir": str(tmp_path / "runs"), "modality": "flair", "batch_size": 2, "teachers": "crossfit",
        "epochs": 2, "teacher": ",".join(str(run.path) for run in taught),
    }  # fmt: skip
    networks = [Teacher(run.path) for run in taught]
    checked: list[str] = []
    attach = TeacherHandler.attach

    def watched(self: TeacherHandler, engine: Any) -> None:
        attach(self, engine)

        @engine.on(IterationEvents.FORWARD_COMPLETED)
        def look(engine: Any) -> None:
            _, outputs, batch = self.loss._slot  # type: ignore[misc]
            for place, subject in enumerate(engine.state.batch["subject"]):
                agreeing = []
                for teacher in networks:
                    with torch.no_grad():
                        alone = teacher.network(batch.teacher_image[place : place + 1])[0]
                    if torch.allclose(alone, outputs.logits[place], atol=1e-4):
                        agreeing.append(teacher)
                (by,) = agreeing
                assert patients[subject] not in by.seen
                checked.append(subject)

    monkeypatch.setattr(TeacherHandler, "attach", watched)
    with pytest.MonkeyPatch.context() as patch:
        once(patch, ProgressHandler, "step", 3, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            train(STUDENT, [], own)
    resumed = train(STUDENT, [], own)
    whole = train(STUDENT, [], {**own, "output_dir": str(tmp_path / "undisturbed")})
    assert len(checked) >= 2 * 2 * 4
    assert resumed.record["run_key"] == whole.record["run_key"]
    ends = [torch.load(run.model, weights_only=True) for run in (resumed, whole)]
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())
    assert resumed.record["teacher_key"] == ",".join(run.record["run_key"] for run in taught)


def test_a_single_teacher_makes_another_run_and_does_not_pass_for_crossfit(
    settings: dict[str, Any], taught: list[Any]
) -> None:
    seen_all = {**settings, "teachers": "crossfit", "teacher": f"{taught[0].path},{taught[0].path}"}
    with pytest.raises(ValueError, match=r"have seen 3 of 3"):
        train(STUDENT, [], seen_all)
