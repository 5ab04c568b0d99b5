"""A bundle's training in this process, on six small cases: stopped anywhere, it says so and goes on where it was."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from ignite.engine import Engine

from kd_monai.handlers import BestModelHandler, NaNLossError, ProgressHandler
from kd_monai.study import RunFolder
from kd_monai.study.launch import STUDENT, TEACHER, train

EPOCHS = 3


class SilentTracker:
    """Stands in for MLflow, which takes seconds to import; keeps the losses of each epoch."""

    def __init__(self, record: Any) -> None:
        self.log = record.path / "losses.jsonl"

    def start(self) -> None: ...

    def log_metrics(self, values: dict[str, float], step: int) -> None:
        losses = {name: value for name, value in values.items() if name.endswith("/loss")}
        with self.log.open("a") as file:
            file.write(json.dumps([step, losses]) + "\n")

    def save_durations(self) -> None: ...

    def log_durations(self) -> None: ...

    def log_artifact(self, path: Path, artifact_path: str | None = None) -> None: ...
    def end(self, status: str) -> None: ...


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six subjects of 36 x 34 x 35 voxels of 2 mm in the layout of BraTS 2018."""
    folder = tmp_path_factory.mktemp("cases") / "HGG"
    random = np.random.default_rng(0)
    for i in range(6):
        name = f"Brats18_X_{i}_1"
        (folder / name).mkdir(parents=True)
        label = np.zeros((36, 34, 35), np.uint8)
        label[8 + i : 20 + i, 8:20, 8:20] = 2
        label[10 + i : 16 + i, 10:16, 10:16] = 1
        label[12 + i : 15 + i, 11:15, 11:15] = 4
        volumes = {name: random.uniform(1, 2, label.shape) + label for name in ("t1", "t1ce", "t2", "flair")}
        for kind, volume in {**volumes, "seg": label}.items():
            data = volume.astype(np.uint8 if kind == "seg" else np.float32)
            nib.save(nib.Nifti1Image(data, np.diag([2.0, 2, 2, 1])), folder / name / f"{name}_{kind}.nii.gz")
    return folder.parent


@pytest.fixture
def settings(cases: Path, tmp_path: Path) -> dict[str, Any]:
    return {
        "dataset_dir": str(cases), "output_dir": str(tmp_path / "runs"), "device": "cpu", "precision": "fp32",
        "modality": "t1ce", "width": 1, "roi_size": [32, 32, 32], "epochs": EPOCHS, "steps_per_epoch": 2,
        "val_every": 1, "tracker": {"_target_": f"{__name__}.SilentTracker", "record": "@record"},
    }  # fmt: skip


def once(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, number: int, error: BaseException) -> None:
    """Raise at the n-th call of a handler's method."""
    method: Callable[..., None] = getattr(owner, name)
    calls = iter(range(1, 1000))

    def raising(self: Any, engine: Engine) -> None:
        method(self, engine)
        if next(calls) == number:
            raise error

    monkeypatch.setattr(owner, name, raising)


def losses_of(run: RunFolder) -> dict[str, list[float]]:
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
    assert resumed.key == whole.key
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
                [bundle / "configs" / "methods" / "baseline.yaml"] * (bundle == STUDENT),
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
    assert student.record["teacher_key"] == teacher.key
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
    with pytest.raises(ValueError, match=r"--teacher FOLDER"):
        train(STUDENT, [], settings)
    assert not Path(settings["output_dir"]).exists()
