"""Run plans: the teacher first, then the student."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from monai.bundle import ConfigWorkflow

from kd_monai.atomic import write_bytes
from kd_monai.config.errors import component_errors
from kd_monai.config.overlays import SHARED, TEACHER, bundle_scripts
from kd_monai.config.plan import Plan, Plans
from kd_monai.errors import UserError
from kd_monai.phases import phase
from kd_monai.runs.folder import RunFolder
from kd_monai.teachers.single import Teacher

# of a command that trains the inner teachers of a finished one: where they are trained, not what they learn
PATIENCE_S = 5
"""How long torchrun may take after a terminal's Ctrl-C, which it gets as well, before it is interrupted again."""
_WHERE = ("dataset_dir", "split_file", "output_dir", "cache", "device", "mlflow_store")


def train_teachers(plans: Plans) -> list[Path]:
    """The finished teacher, and behind it one for each inner fold of the student; what is not there is trained.

    Teachers of inner folds are the first one but for the subjects that each leaves out, by the ``config.yaml`` of its
    run: a student may have fewer subjects, another width or other variables than it was trained with.

    Returns:
        Run folders.

    Raises:
        UserError: TEACHER names several, or one that is no finished teacher, where inner folds are asked for.
    """
    inner_folds = plans.inner_folds
    if plans.teacher_runs:
        if not inner_folds or len(plans.teacher_runs) > 1:
            return list(plans.teacher_runs)
        first = Teacher(plans.teacher_runs[0]).folder  # what is no teacher is refused before others are trained
    else:
        if plans.teacher is None:
            raise UserError("A student needs a teacher. Name its run folder: TEACHER=runs/teacher-fold0-KEY")
        first = train(plans.teacher)
    if not inner_folds:
        return [first]
    here = (plans.teacher or plans.student).config
    settings = {name: here[name] for name in _WHERE} | {"force": bool(plans.teacher and here["force"])}
    processes = json.loads((first / "run.json").read_text()).get("processes", 1)  # its config.yaml starts so many
    if processes > 1 and here["device"] != "cpu":
        del settings["device"]  # each has its own
    inner = replace(Plan.read("teacher", TEACHER, [first / "config.yaml"], settings), processes=processes)
    return [first, *(train(inner.changed({"inner_fold": f"{fold}/{inner_folds}"})) for fold in range(inner_folds))]


def train_student(plans: Plans, teachers: list[Path]) -> Path:
    """The run folder of the finished student or baseline; trained if it is not there.

    Args:
        plans: with a student.
        teachers: run folders; not looked at for a baseline.
    """
    student = plans.student
    if student.role == "student":
        student = student.changed({"teacher": ",".join(map(str, teachers))})
    return train(student)


@phase("set-up")
def train(plan: Plan) -> Path:
    """The run folder of the finished training that a plan describes; trained if it is not there.

    Raises:
        UserError: what the run refuses; it is then marked FAILED, as after any other error.
        KeyboardInterrupt: its user stopped it; the run is then marked KILLED.
    """
    if plan.processes > 1 and "LOCAL_RANK" not in os.environ:
        return _train_distributed(plan)
    workflow = workflow_of(plan, "train")
    if "plan" in plan.config:
        workflow.parser["plan"] = plan
    record: RunFolder | None = None
    try:
        with bundle_scripts(SHARED), component_errors():
            try:
                workflow.initialize()
            except SystemExit as stop:
                if stop.code:
                    raise
                finished: RunFolder = workflow.parser.get_parsed_content("record")
                return finished.path
            record = workflow.parser.get_parsed_content("record")
            workflow.run()
            workflow.finalize()
    except KeyboardInterrupt:
        if record is not None:
            record.fail("KILLED")
        raise
    finally:
        if record is not None:
            record.fail()  # no more than a look where the run is finished
    return record.path


def workflow_of(plan: Plan, workflow_type: str) -> ConfigWorkflow:
    """MONAI's workflow (train or infer) on a configuration that is read already."""
    logging.getLogger("monai.bundle.workflows").setLevel(logging.CRITICAL)  # its import sets another
    config: dict[str, Any] = {**plan.parser().get(), "bundle_root": str(plan.bundle)}
    return ConfigWorkflow(
        config_file=None,
        meta_file=str(plan.bundle / "configs" / "metadata.json"),
        workflow_type=workflow_type,
        logging_file=False,  # the command has set up its logs
        **config,
    )


def _train_distributed(plan: Plan) -> Path:
    """The same under torchrun, a process for each GPU."""
    with tempfile.TemporaryDirectory() as folder:
        config, answer = Path(folder) / "config.yaml", Path(folder) / "run"
        config.write_text(yaml.safe_dump(dict(plan.config), sort_keys=False))
        line = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={plan.processes}"]
        line += ["-m", "kd_monai.training.workflow", plan.role, str(plan.bundle), str(config), str(answer)]
        # a user's term may lie in a folder that this process came to know
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        status = _wait(subprocess.Popen(line, env=environment))
        if status or not answer.is_file():
            raise UserError(f"One of {plan.processes} processes ended with status {status}. Its message stands above.")
        return Path(answer.read_text())


def _wait(torchrun: subprocess.Popen[bytes]) -> int:
    """Its exit status. An interruption waits for it too: torchrun hands the signal on, and workers mark the run."""
    try:
        return torchrun.wait()
    except KeyboardInterrupt:
        try:
            torchrun.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:  # the signal came to this process alone
            torchrun.send_signal(signal.SIGINT)
            torchrun.wait()
        raise


def main(role: str, bundle: str, config: str, answer: str) -> None:
    """A process of `_train_distributed`."""
    path = train(Plan.read(role, Path(bundle), [Path(config)], {}))
    if os.environ.get("RANK", "0") == "0":
        write_bytes(Path(answer), str(path).encode())


if __name__ == "__main__":
    from kd_monai.config.errors import run_command

    sys.exit(run_command(lambda: main(*sys.argv[1:])))
