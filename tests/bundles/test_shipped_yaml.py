"""Every YAML that a bundle ships is run, shortened; and the two bundles agree where they must."""

from __future__ import annotations

import copy
import json
import math
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from pydoc import locate
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from monai.bundle import ConfigParser
from tiny import (
    BUNDLES,
    STUDENT,
    TEACHER,
    TINY,
    bundle_command,
    coarse,
    environment,
    evaluate,
    metrics,
    train,
    weights,
    words,
)

import kd_monai
from kd_monai.config.overlays import SHARED, bundle_scripts, train_files
from kd_monai.config.plan import Plan, read_plans
from kd_monai.config.variables import read_command
from kd_monai.data import Datalist
from kd_monai.export.bundle import export_bundle
from kd_monai.export.predict import predict
from kd_monai.export.verify import verify_static
from kd_monai.metrics import MORE_COLUMNS
from kd_monai.networks import openvino_is_installed

BOTH = (TEACHER, STUDENT)
KINDS = ("recipes", "networks", "methods")
NETWORKS = ("dynunet", "segresnet", "multiresunet", "swinunetr", "unet")
OVERLAYS = [
    (bundle, path)
    for bundle in BOTH
    for kind in KINDS
    for folder in (SHARED, bundle / "configs")
    for path in sorted((folder / kind).glob("*.yaml"))
]
WHOLE_METHODS = ("baseline", "kdnet", "finetune")
METHODS = [path for _, path in OVERLAYS if path.parent.name == "methods" and path.stem not in WHOLE_METHODS]
"""Run without what these three show: validation, pictures, tracking and checkpoints know nothing of a method."""
WHOLE_RUNS = [(bundle, path) for bundle, path in OVERLAYS if path not in METHODS]
WHOLE = [SHARED / f"{name}.yaml" for name in ("preprocessing", "train", "evaluate", "prediction", "multi_gpu_train")]
"""Run by the tests that bear their names."""

LARGER: dict[str, dict[str, Any]] = {"swinunetr": {"roi_size": [32, 32, 64], "network_def#depths": [1, 1, 1, 1]}}
"""It halves its input five times; half as many layers as its default are exported in half the time."""

both = pytest.mark.parametrize("bundle", BOTH, ids=lambda path: path.name)
Train = Callable[..., SimpleNamespace]


def targets(content: Any) -> set[str]:
    """Every `_target_` of a configuration, at any depth."""
    if isinstance(content, list):
        return {name for part in content for name in targets(part)}
    if not isinstance(content, dict):
        return set()
    own = {content["_target_"]} if isinstance(content.get("_target_"), str) else set()
    return own | targets(list(content.values()))


def test_no_target_bears_the_name_of_a_module() -> None:
    """From Python 3.12 on MONAI (pydoc.locate) takes the module ``a.b`` before what ``a`` calls ``b``."""
    named = {name for file in BUNDLES.rglob("*.yaml") for name in targets(yaml.safe_load(file.read_text()))}
    ours = {name for name in named if name.startswith("kd_monai.")}
    assert len(ours) > 30
    source = Path(kd_monai.__file__).parents[1]
    places = {name: source.joinpath(*name.split(".")) for name in ours}
    assert [name for name, place in places.items() if place.is_dir() or place.with_suffix(".py").exists()] == []


@pytest.fixture(scope="module")
def data(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return coarse(phantom, tmp_path_factory.mktemp("shipped_data"))


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Train:
    """Train a bundle with overlays; a student's teacher gets those of them that the teacher's bundle has."""
    out = tmp_path_factory.mktemp("shipped")

    runs: dict[str, SimpleNamespace] = {}

    def run(bundle: Path, *overlays: Path, **changes: Any) -> SimpleNamespace:
        settings = {"dataset_dir": str(data), "output_dir": str(out), **TINY, **changes}
        if bundle == STUDENT and "baseline" not in [path.stem for path in overlays]:
            common = [path for path in overlays if path.parent.name != "methods"]
            settings["teacher"] = str(run(TEACHER, *common, **changes).path)
        key = repr((bundle, overlays, settings))
        if key not in runs:
            runs[key] = train(bundle, overlays, settings)
            runs[key].config = config(runs[key].path / "config.yaml")
        return runs[key]

    return run


def config(path: Path) -> dict[str, Any]:
    return ConfigParser.load_config_file(path)


def test_every_yaml_has_a_test() -> None:
    own = {bundle / "configs" / name for bundle in BOTH for name in ("train.yaml", "inference.yaml")}
    run = {path for _, path in OVERLAYS} | {*WHOLE, *own}
    assert {*BUNDLES.rglob("*.yaml"), *BUNDLES.rglob("*.yml")} == run
    assert {path.name for path in (SHARED / "recipes").iterdir()} == {
        "paper.yaml",
        "study.yaml",
        "quick.yaml",
    }


@both
def test_train(bundle: Path, trained: Train) -> None:
    run = trained(bundle)
    assert json.loads((run.path / "run.json").read_text())["status"] == "FINISHED"
    assert all(map(math.isfinite, metrics(run.path, "train/").values()))
    assert set(metrics(run.path, "val/")) == {
        (f"val/{name}", 1) for name in ("dice_mean", "dice_TC", "dice_WT", "dice_ET", "loss")
    }
    assert weights(run.path).keys() == run_network(run.path).keys()


def run_network(folder: Path) -> dict[str, Any]:
    """State of the network that a run's own configuration builds."""
    parser = ConfigParser()
    parser.read_config(folder / "config.yaml")
    return parser.get_parsed_content("network_def").state_dict()


@pytest.mark.parametrize(
    ("bundle", "overlay"), WHOLE_RUNS, ids=[f"{bundle.name}-{path.stem}" for bundle, path in WHOLE_RUNS]
)
def test_overlay_trains(bundle: Path, overlay: Path, trained: Train) -> None:
    run = trained(bundle, overlay, **LARGER.get(overlay.stem, {}))
    assert json.loads((run.path / "run.json").read_text())["status"] == "FINISHED"
    losses = metrics(run.path, "train/loss")
    assert all(map(math.isfinite, losses.values()))
    own = ConfigParser.load_config_files([*train_files(bundle), overlay]).get("terms") or {}
    terms = ["segmentation", *own]
    assert {key for key, _ in losses} == {"train/loss", *(f"train/loss/{term}" for term in terms)}
    expected = config(overlay).get("network_def", {"_target_": "monai.networks.nets.BasicUNet"})
    if isinstance(expected, dict):
        assert run.config["network_def"]["_target_"] == expected["_target_"]


@pytest.fixture(scope="module")
def teacher_of(trained: Train) -> Callable[[str], SimpleNamespace]:
    """A finished teacher of this head."""
    return cache(lambda head: trained(TEACHER, head=head))


def head_needed(method: Path) -> str:
    """The one head that a term of a method reads, or that of train.yaml."""
    classes = [locate(entry["term"]["_target_"]) for entry in (config(method).get("terms") or {}).values()]
    return next((term.needs_head for term in classes if hasattr(term, "needs_head")), "regions")


@pytest.mark.parametrize("method", METHODS, ids=lambda path: path.stem)
def test_method_trains(
    method: Path, teacher_of: Callable[[str], SimpleNamespace], data: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Two steps of the shipped trainer, teacher, loss and optimiser; the student moves and the teacher does not."""
    out = tmp_path_factory.getbasetemp() / "methods"  # one disk cache for all methods
    settings = {**TINY, "head": head_needed(method), "cache": "disk"}
    teacher = str(teacher_of(settings["head"]).path)
    settings |= {"dataset_dir": str(data), "output_dir": str(out), "teacher": teacher}
    plan = Plan.read("student", STUDENT, [*train_files(STUDENT), method], settings)
    parser = plan.parser()
    parser["plan"] = plan
    handlers = parser["train"]["handlers"][:2]
    assert [handler["_target_"].rpartition(".")[2] for handler in handlers] == ["EpochSeedHandler", "RaiseOnNaN"]
    parser["train#handlers"] = handlers
    network, handler = parser.get_parsed_content("network_def"), parser.get_parsed_content("teacher_handler")
    with bundle_scripts(SHARED):
        trainer, loss = parser.get_parsed_content("train#trainer"), parser.get_parsed_content("loss")
    before = [copy.deepcopy(part.state_dict()) for part in (network, *handler.teachers)]
    handler.attach(trainer)
    trainer.run()
    assert trainer.state.iteration == TINY["steps_per_epoch"]
    assert loss.named.keys() == {"segmentation", *parser["terms"]}
    assert all(value.isfinite() for value in loss.named.values())
    after = [part.state_dict() for part in (network, *handler.teachers)]
    moved, kept = ([torch.equal(a[name], b[name]) for name in a] for a, b in zip(before, after, strict=True))
    assert not all(moved)
    assert all(kept)


EVALUATED = [
    "train.yaml",
    "recipes/paper.yaml",
    *(f"networks/{name}.yaml" for name in NETWORKS if name != "multiresunet"),
]
"""MultiResUNet, which travels as a program, has tests/export/test_bundle.py for this."""
SAME_FILES = {f"networks/{name}.yaml" for name in NETWORKS}
"""Of both bundles, which a test below compares: the student's are evaluated, the teacher's trained alone."""


@pytest.mark.parametrize(
    ("bundle", "overlay"),
    [
        # the transformer alone takes longer to export than all others together
        pytest.param(bundle, overlay, marks=[pytest.mark.slow] if "swinunetr" in overlay else [])
        for bundle in BOTH
        for overlay in EVALUATED
        if bundle == STUDENT or overlay not in SAME_FILES
    ],
    ids=lambda item: item if isinstance(item, str) else item.name,
)
def test_evaluate_and_inference(bundle: Path, overlay: str, trained: Train, data: Path, tmp_path: Path) -> None:
    """Of every network, and of the softmax head, which the paper's recipe has."""
    overlays = [SHARED / overlay] if overlay != "train.yaml" else []
    run = trained(bundle, *overlays, **LARGER.get(Path(overlay).stem, {}))
    evaluate(bundle, run.path, {"device": "cpu"})
    table = pd.read_csv(run.path / "cases.csv")
    datalist = Datalist.load(data, split_file=run.path / "split.json")
    assert sorted(table.subject) == sorted(entry["subject"] for entry in datalist.test)
    assert table.filter(like="dice_").notna().all(axis=None)
    assert table[MORE_COLUMNS].notna().all(axis=None)
    chosen = json.loads((run.path / "thresholds.json").read_text())
    assert chosen["n_val"] == len(datalist.val)
    assert all(0 < value < 1 for value in chosen["thresholds"].values())
    exported = export_bundle(run.path, bundle, tmp_path / "bundle")
    verify_static(exported, BUNDLES / "schema")
    inference = config(exported / "configs" / "inference.yaml")
    if "multiresunet" in overlay:
        assert "model.pt2" in inference["network_def"]
    else:
        assert inference["network_def"]["_target_"] == run.config["network_def"]["_target_"]
    assert (exported / "models" / "model.xml").is_file() == openvino_is_installed()
    assert inference["head"] == run.config["head"] == ("labels" if "paper" in overlay else "regions")
    entry = datalist.test[0]
    source = Path(entry["image"]["t1ce"]) if bundle == STUDENT else Path(entry["image"]["t1ce"]).parent
    (path,) = predict(exported, source, tmp_path / "out", device="cpu")
    label_map, image = nib.load(path), nib.load(entry["image"]["t1ce"])
    assert label_map.shape == image.shape
    np.testing.assert_allclose(label_map.affine, image.affine)
    assert set(np.unique(label_map.dataobj)) <= {0, 1, 2, 3}


@pytest.mark.slow
def test_multi_gpu_train_on_two_processes(trained: Train, data: Path, tmp_path: Path) -> None:
    """Two processes with a patch each learn what one learns from batches of two; only the first one writes.

    The teacher's bundle has the same file (see below), and its trainer is the student's without a teacher.
    """
    sgd = {"optimizer#_target_": "torch.optim.SGD", "precision": "fp32"}  # Adam would make rounding errors large
    changes = {**TINY, **sgd, "steps_per_epoch": 6}
    single = trained(STUDENT, **sgd, steps_per_epoch=3, batch_size=2)
    settings = {"dataset_dir": str(data), "output_dir": "runs", **changes, "teacher": single.config["teacher"]}
    line = bundle_command(STUDENT, [*train_files(STUDENT), SHARED / "multi_gpu_train.yaml"], **settings)
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    environ = {**environment(), "OMP_NUM_THREADS": "1"}

    def launch() -> str:
        done = subprocess.run(
            [sys.executable, *torchrun, *line],
            cwd=tmp_path,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    said = launch()
    assert said.count("folder - INFO - Writing") == 1
    assert said.count("| 1/3 [00:00<") == 1  # one bar, of the half of six steps that falls to a process
    (folder,) = [path for path in (tmp_path / "runs").glob("*/") if (path / "run.json").is_file()]
    assert json.loads((folder / "run.json").read_text())["status"] == "FINISHED"
    assert len(list((folder / "overlays").iterdir())) == 1
    lines = [json.loads(text) for text in (folder / "journal.jsonl").read_text().splitlines()]
    assert [line["op"] for line in lines].count("run") == 1
    learned, expected = weights(folder), weights(single.path)
    assert learned.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(learned[name], value, rtol=1e-3, atol=1e-4, err_msg=name)
    assert metrics(folder, "val/")["val/dice_mean", 1] == pytest.approx(
        metrics(single.path, "val/")["val/dice_mean", 1], abs=0.01
    )
    assert "Finished already" in launch()
    evaluate(STUDENT, folder, {"device": "cpu"})  # in one process


def files_of(verb: str, **typed: str) -> list[tuple[Path, ...]]:
    """Of each run of a command, the teacher's first."""
    plans = read_plans(read_command([verb, *words(**typed)]), "baseline" if verb == "baseline" else "student")
    return [plan.files for plan in (plans.teacher, plans.student) if plan is not None]


@pytest.mark.parametrize(("verb", "runs"), [("baseline", 1), ("student", 2)])
def test_network_variable_reaches_teacher_baseline_and_student(verb: str, runs: int) -> None:
    named = files_of(verb, network="dynunet")
    assert len(named) == runs
    assert all(SHARED / "networks" / "dynunet.yaml" in files for files in named)
    assert not any(path.parent.name == "networks" for files in files_of(verb) for path in files)


@pytest.mark.parametrize(
    ("bundle", "path"),
    [item for item in OVERLAYS if item[1].stem in ("quick", "basicunet", "kdnet")],
    ids=lambda path: path.stem,
)
def test_defaults_named_are_the_defaults(bundle: Path, path: Path) -> None:
    plain, named = ConfigParser(), ConfigParser()
    plain.read_config(train_files(bundle))
    named.read_config([*train_files(bundle), path])
    assert plain.get() == named.get()


def test_teacher_and_student_differ_in_few_ids() -> None:
    """All else is shared/train.yaml."""
    shared = config(SHARED / "train.yaml")
    teacher, student = (config(bundle / "configs" / "train.yaml") for bundle in BOTH)
    own = {"modality", "method", "role", "read_modalities", "initial_network", "loss", "train_samples"}
    assert teacher.keys() == own | {"inner_fold"}
    assert teacher.keys() & shared.keys() == {"inner_fold"}
    assert student.keys() & shared.keys() == {"teacher_run", "run"}
    assert own < student.keys()


def test_thresholds_are_chosen_on_the_validation_part_alone() -> None:
    evaluation = config(SHARED / "evaluate.yaml")
    assert evaluation["choice"]["dataset"]["data"]["entries"] == "$@datalist.val"
    assert "datalist.test" not in str(evaluation["choice"])
    assert evaluation["choice"]["evaluator"]["postprocessing"] == evaluation["evaluator"]["postprocessing"]
    assert evaluation["run"] == ["$@choice#evaluator.run()", "$@evaluator.run()"]


def test_multi_gpu_training_prepares_what_training_prepares() -> None:
    train_first, several_first = (
        config(SHARED / f"{name}.yaml")["initialize"] for name in ("train", "multi_gpu_train")
    )
    assert [step for step in several_first if step in train_first] == train_first
