"""A bundle's training in this process, on six small cases: stopped anywhere, it says so and goes on where it was."""

from __future__ import annotations

import dataclasses
import json
import logging
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from small_volumes import once, short, write_volumes
from teacher_runs import teacher_run
from tiny import train

from kd_monai.config.overlays import SHARED, STUDENT, TEACHER, train_files
from kd_monai.config.plan import Plan, Plans, read_plans
from kd_monai.config.variables import read_command
from kd_monai.handlers import BestModelHandler, NaNLossError, ProgressHandler
from kd_monai.training import workflow


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_volumes(tmp_path_factory.mktemp("cases"))


@pytest.fixture
def settings(cases: Path, tmp_path: Path) -> dict[str, Any]:
    return {**short(cases, tmp_path / "runs"), "modality": "t1ce"}


def losses_of(run: Any) -> dict[str, list[float]]:
    """Training and validation loss of each epoch that was completed."""
    seen: dict[str, list[float]] = {}
    for line in (run.path / "losses.jsonl").read_text().splitlines():
        step, losses = json.loads(line)
        for name, value in losses.items():
            values = seen.setdefault(name, [])
            values[step - 1 :] = [value]
    return seen


def record_of(settings: dict[str, Any]) -> dict[str, Any]:
    (path,) = Path(settings["output_dir"]).glob("*/run.json")
    return json.loads(path.read_text())


@pytest.mark.parametrize(
    ("owner", "name", "number"),
    [(ProgressHandler, "step", 4), (BestModelHandler, "__call__", 2)],
    ids=["in a training step", "in a validation"],
)
def test_ctrl_c_goes_through_ignite_and_monai_marks_the_run_killed_and_the_next_launch_ends_it_bit_for_bit(
    owner: type, name: str, number: int, settings: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        once(patch, owner, name, number, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            train(TEACHER, [], settings)
    assert record_of(settings)["status"] == "KILLED"
    (folder,) = Path(settings["output_dir"]).glob("teacher-*/")
    assert [path.name[:13] for path in (folder / "checkpoints").iterdir()] == ["epoch_000001_"]

    resumed = train(TEACHER, [], settings)
    assert resumed.path == folder
    assert record_of(settings)["status"] == "FINISHED"
    whole = train(TEACHER, [], {**settings, "output_dir": str(tmp_path / "undisturbed")})
    weights = [torch.load(run.model, weights_only=True) for run in (resumed, whole)]
    assert resumed.record["run_key"] == whole.record["run_key"]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[1])
    assert losses_of(resumed) == losses_of(whole)
    assert {name: len(values) for name, values in losses_of(whole).items()} == {"train/loss": 3, "val/loss": 3}


def test_the_bundles_logging_configuration_stays_with_monais_command_line(settings: dict[str, Any]) -> None:
    """It would replace the handlers of this process, and give a pipeline's lines dates and names."""
    before = list(logging.getLogger().handlers)
    for bundle in (TEACHER, STUDENT):
        with pytest.raises(ValueError, match="epochs"):
            train(
                bundle,
                [STUDENT / "configs" / "methods" / "baseline.yaml"] * (bundle == STUDENT),
                settings | {"epochs": 0},
            )
    assert logging.getLogger().handlers == before
    assert not Path(settings["output_dir"]).exists() or not list(Path(settings["output_dir"]).glob("*/run.json"))


def test_an_error_comes_out_as_it_was_raised_and_marks_the_run_failed(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """MONAI would wrap it into "Failed to evaluate"."""
    once(monkeypatch, ProgressHandler, "step", 1, NaNLossError("no number"))
    with pytest.raises(NaNLossError, match="no number"):
        train(TEACHER, [], settings)
    assert record_of(settings)["status"] == "FAILED"


def test_leaving_in_the_middle_is_a_failure_and_not_a_finished_run(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    once(monkeypatch, ProgressHandler, "step", 1, SystemExit(0))
    with pytest.raises(SystemExit):
        train(TEACHER, [], settings)
    assert record_of(settings)["status"] == "FAILED"


def test_teacher_and_student_are_trained_and_not_trained_again(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings |= {"epochs": 1}
    teacher = train(TEACHER, [], {**settings, "modality": "t1-t1ce"})
    student = train(STUDENT, [], {**settings, "teacher": str(teacher.path)})
    assert student.record["teacher_key"] == teacher.record["run_key"]
    monkeypatch.setattr(ProgressHandler, "step", lambda *_: pytest.fail("trained again"))
    assert train(TEACHER, [], {**settings, "modality": "t1-t1ce"}).path == teacher.path
    assert train(STUDENT, [], {**settings, "teacher": str(teacher.path)}).path == student.path


def test_a_terms_of_weight_zero_student_is_the_baseline_bit_for_bit(settings: dict[str, Any]) -> None:
    """Through the shipped YAML: same start, same patches, same dropout, same weights."""
    settings |= {"epochs": 1, "network_def#dropout": 0.1}
    teacher = train(TEACHER, [], {**settings, "modality": "t1-t1ce"})
    off = {"segmentation_weight": 1.0, "terms#soft_dice_bce#weight": 0, "terms#latent_kl#weight": 0}
    student = train(STUDENT, [], {**settings, **off, "teacher": str(teacher.path)})
    baseline = train(STUDENT, [STUDENT / "configs" / "methods" / "baseline.yaml"], settings)
    weights = [torch.load(run.model, weights_only=True) for run in (student, baseline)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[1])


def test_a_student_without_a_teacher_is_told_what_to_write(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="TEACHER"):
        train(STUDENT, [], settings)
    assert not Path(settings["output_dir"]).exists()


# --- the order in which a command trains


class Launches:
    """Stands in for `train`: notes the plans."""

    def __init__(self, out: Path) -> None:
        self.out, self.plans = out, list[Plan]()

    def __call__(self, plan: Plan) -> Path:
        self.plans.append(plan)
        return self.out / f"run{len(self.plans)}"

    def values(self, name: str) -> list[Any]:
        return [plan.config.get(name) for plan in self.plans]


@pytest.fixture
def launches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Launches:
    made = Launches(tmp_path)
    monkeypatch.setattr(workflow, "train", made)
    return made


def plans(*words: str) -> Plans:
    return read_plans(read_command(["student", *words]), "student")


INNER = ["0/3", "1/3", "2/3"]


def test_a_student_names_the_teacher_that_was_trained_for_it(launches: Launches) -> None:
    made = plans("FOLD=1")
    teachers = workflow.train_teachers(made)
    assert teachers == [launches.out / "run1"]
    assert workflow.train_student(made, teachers) == launches.out / "run2"
    assert [plan.role for plan in launches.plans] == ["teacher", "student"]
    assert launches.plans[1].config["teacher"] == str(launches.out / "run1")


def test_a_teacher_that_is_named_is_taken_and_several_teach_together(launches: Launches, tmp_path: Path) -> None:
    made = plans(f"TEACHER={tmp_path}/mine,{tmp_path}/yours")
    teachers = workflow.train_teachers(made)
    assert not launches.plans
    workflow.train_student(made, teachers)
    assert launches.plans[0].config["teacher"] == f"{tmp_path}/mine,{tmp_path}/yours"


def test_a_cross_fitted_student_has_a_teacher_of_all_and_one_for_each_inner_fold(
    tmp_path: Path, launches: Launches
) -> None:
    teacher_run(tmp_path / "run1", width=5)  # what the first training leaves behind
    made = plans("TEACHERS=crossfit", "FOLD=1", f"OUT={tmp_path / 'out'}")
    teachers = workflow.train_teachers(made)
    assert teachers == [launches.out / f"run{number}" for number in (1, 2, 3, 4)]
    assert launches.values("inner_fold") == [None, *INNER]
    assert launches.values("width")[1:] == [5, 5, 5]  # as the first was trained
    assert set(launches.values("output_dir")) == {str(tmp_path / "out")}
    workflow.train_student(made, teachers)
    assert launches.plans[-1].config["teacher"] == ",".join(map(str, teachers))


def test_inner_teachers_of_a_named_one_are_trained_as_it_was(launches: Launches, tmp_path: Path) -> None:
    mine = teacher_run(tmp_path / "mine", width=3)
    made = plans("TEACHERS=crossfit", f"TEACHER={mine}", "SET=inner_folds=2 width=4")
    assert workflow.train_teachers(made)[0] == mine
    assert launches.values("inner_fold") == ["0/2", "1/2"]
    assert launches.values("width") == [3, 3]


def test_inner_teachers_have_as_many_processes_as_the_first(launches: Launches, tmp_path: Path) -> None:
    """Its configuration starts them, whatever this command's GPUS."""
    mine = teacher_run(tmp_path / "mine", width=3)
    record = json.loads((mine / "run.json").read_text())
    (mine / "run.json").write_text(json.dumps({**record, "processes": 2}))
    workflow.train_teachers(plans("TEACHERS=crossfit", f"TEACHER={mine}", "SET=inner_folds=2"))
    assert [plan.processes for plan in launches.plans] == [2, 2]


def test_an_interruption_is_handed_to_torchrun_and_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its workers have sessions of their own, and mark the run."""
    monkeypatch.setattr(workflow, "PATIENCE_S", 0.2)
    ready, marked = tmp_path / "ready", tmp_path / "marked"
    script = (
        "import pathlib, sys, time\n"
        "try:\n"
        f"    pathlib.Path({str(ready)!r}).touch()\n"
        "    time.sleep(60)\n"
        "except KeyboardInterrupt:\n"
        "    time.sleep(0.5)\n"
        f"    pathlib.Path({str(marked)!r}).touch()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script])
    while not ready.exists():
        assert process.poll() is None
        time.sleep(0.05)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(KeyboardInterrupt):
            workflow._wait(process)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert marked.exists()


def test_a_baseline_is_trained_without_a_teacher(launches: Launches) -> None:
    workflow.train_student(plans("METHOD=baseline"), [])
    assert launches.plans[0].role == "baseline"
    assert launches.plans[0].config["teacher_run"] is None


@pytest.mark.slow
def test_two_processes_train_one_run_together(settings: dict[str, Any]) -> None:
    """With GPUS=2, on a CPU."""
    files = [*train_files(TEACHER), SHARED / "multi_gpu_train.yaml"]
    plan = Plan.read("teacher", TEACHER, files, {**settings, "epochs": 1})
    run = workflow.train(dataclasses.replace(plan, processes=2))
    record = json.loads((run / "run.json").read_text())
    assert (record["status"], record["processes"]) == ("FINISHED", 2)
    assert (run / "model.pt").is_file()
