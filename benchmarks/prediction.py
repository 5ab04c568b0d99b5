"""How fast is a prediction, from file to file, against the model zoo's? One full-size subject, one label map.

Ours is the exported bundle of a student of the quick recipe (2 mm, T1ce) as `make predict` runs it, with untrained
weights: they cost what trained ones do. Theirs is brats_mri_segmentation with its network, window, pre- and
postprocessing (zoo.py) on the subject's four modalities. In turn in one process, everything but the imports included:
configuration, weights, reading, writing; and once each as a process of its own, which is what a user waits for. The
contract: both write one map of labels on the input's grid, same shape and affine.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.bundle import ConfigWorkflow
from monai.transforms import LoadImage

import zoo
from kd_monai.config.overlays import STUDENT, overlay, train_files
from kd_monai.data import Datalist
from kd_monai.export.bundle import bundle_of
from kd_monai.export.predict import predict
from kd_monai.export.verify import untrained_run
from kd_monai.networks.inferers import openvino_is_installed
from kd_monai.task import MODALITIES
from question import Given, answer, contract, without_slow_bf16
from row import Reach, Row, Side, faster

TINY = (slice(36, 84), slice(36, 84), slice(15, 63))


def measure(given: Given) -> list[Row]:
    """Seconds a subject, and seconds a process."""
    logging.getLogger("monai").setLevel(logging.WARNING)
    files = _subject(given)
    bundle, other = _student(given), _zoo(given, files)
    t1ce = files["t1ce"]
    ways: dict[str, dict[str, Any]] = {
        "torch fp32": {"runtime": "torch"},
        "torch bf16": {"runtime": "torch", "bf16": True},
    }
    if openvino_is_installed() and given.device.type == "cpu":
        ways = {
            "OpenVINO fp32": {"runtime": "openvino"},
            "OpenVINO bf16": {"runtime": "openvino", "bf16": True},
            **ways,
        }
    ways = without_slow_bf16(given, ways)
    device = given.device.type
    sides: dict[str, Callable[[], Any]] = {
        name: lambda name=name, way=way: predict(bundle, t1ce, given.work / name, device=device, **way)
        for name, way in ways.items()
    }
    sides["zoo"] = lambda: _run(other, device)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(given.pick(3, 1)):
        for name, side in sides.items():
            seconds[name].append(_timed(side))
    grid = _grid(t1ce)
    maps = {name: _written(given.work / name, grid) for name in sides}
    largest = max(int((maps[name] != maps["torch fp32"]).sum()) for name in ways if "fp32" in name)
    contract(largest <= 1e-3 * maps["zoo"].size, "float32 maps differ in 0.1 % of voxels at most", largest)
    agreed = (
        f"one subject, {'x'.join(map(str, grid[0]))}; one uint8 label map each, on the input's grid; named "
        "differences: T1ce at 2 mm against four modalities at 1 mm, untrained weights; our float32 maps differ in "
        f"{largest} voxels between runtimes"
    )
    common = {"contract": agreed, "size": given.size}
    theirs = Side.of("zoo", "s", seconds["zoo"])
    default = next(iter(ways))
    floor = _floor(t1ce, maps[default], given.work)
    rows = [
        faster(
            f"Prediction, file to file, exported student ({name}{', the default here' if name == default else ''})",
            Side.of(name, "s", seconds[name]),
            theirs,
            (seconds[name], seconds["zoo"]),
            reach=Reach("at least", 10) if name == default else None,
            floor=floor if name == default else "",
            **common,
        )
        for name in ways
    ]
    return rows if given.tiny else [*rows, _processes(given, bundle, other, t1ce, device, common)]


def _subject(given: Given) -> dict[str, str]:
    """The four files of one subject; tiny: a piece of it."""
    entry = Datalist.load(given.small_data if given.tiny else given.data, fold="all", check=False).train[0]
    files: dict[str, str] = {name: str(entry["image"][name]) for name in MODALITIES}
    if given.tiny:
        for name, file in files.items():
            files[name] = str(given.work / f"subject_{name}.nii.gz")
            nib.save(nib.load(file).slicer[TINY], files[name])
    return files


def _student(given: Given) -> Path:
    """An exported student as the quick recipe makes it."""
    configs = [*train_files(STUDENT), overlay(STUDENT, "method", "baseline")]
    small = {"roi_size": [32, 32, 32], "width": 4} if given.tiny else {}
    run = untrained_run(
        STUDENT, configs, dataset_dir=str(given.small_data), output_dir=str(given.work / "runs"), device="cpu", **small
    )
    return bundle_of(run)


def _zoo(given: Given, files: dict[str, str]) -> Path:
    """The zoo's bundle: its inference.json and weights of its network."""
    bundle = given.work / "zoo_bundle"
    for name in ("configs", "models"):
        (bundle / name).mkdir(parents=True)
    window = (48, 48, 48) if given.tiny else zoo.WINDOW
    config = zoo.inference([files[name] for name in MODALITIES], str(given.work / "zoo"), window)
    (bundle / "configs" / "inference.json").write_text(json.dumps(config))
    (bundle / "configs" / "metadata.json").write_text("{}")
    torch.manual_seed(0)
    torch.save(zoo.network().state_dict(), bundle / "models" / "model.pt")
    return bundle


def _run(bundle: Path, device: str) -> None:
    workflow = ConfigWorkflow(
        config_file=str(bundle / "configs" / "inference.json"),
        workflow_type="infer",
        logging_file=False,
        bundle_root=str(bundle),
        device=device,
    )
    workflow.initialize()
    workflow.run()


def _timed(side: Callable[[], Any]) -> float:
    began = time.perf_counter()
    side()
    return time.perf_counter() - began


def _grid(file: str | Path) -> tuple[tuple[int, ...], np.ndarray]:
    image = nib.load(file)
    return image.shape, image.affine


def _written(folder: Path, grid: tuple[tuple[int, ...], np.ndarray]) -> np.ndarray:
    """The one label map in a folder, on the input's grid."""
    files = sorted(folder.glob("*.nii.gz"))
    contract(len(files) == 1, "one file is written", files)
    shape, affine = _grid(files[0])
    contract(
        shape == grid[0] and np.allclose(affine, grid[1], atol=1e-4), "the map has the input's grid", (shape, affine)
    )
    image = nib.load(files[0])
    contract(image.get_data_dtype() == np.uint8, "labels are uint8", image.get_data_dtype())
    labels = np.asanyarray(image.dataobj)
    contract(set(np.unique(labels)) <= {0, 1, 2, 3, 4}, "the map holds labels", np.unique(labels))
    return labels


def _floor(image: str, label_map: np.ndarray, work: Path) -> str:
    """What file to file costs without any computing: gzip, both ways."""
    reading = min(_timed(lambda: LoadImage(image_only=True)(image)) for _ in range(3))
    written = nib.Nifti1Image(label_map, nib.load(image).affine)
    writing = min(_timed(lambda: nib.save(written, work / "floor.nii.gz")) for _ in range(3))
    return f"reading {reading:.2f} s and writing {writing:.2f} s, most of it gzip"


def _processes(given: Given, bundle: Path, other: Path, image: str, device: str, common: dict[str, Any]) -> Row:
    """`python -m monai.bundle run` of both, start-up included."""
    shared = ["--device", device]
    lines = {
        "ours": [
            str(bundle),
            "inference.yaml",
            "--dataset_dir",
            image,
            "--output_dir",
            str(given.work / "ours_process"),
        ],
        "zoo": [str(other), "inference.json"],
    }
    seconds = {}
    for name, (root, config, *more) in lines.items():
        command = [sys.executable, "-m", "monai.bundle", "run", "--bundle_root", root]
        command += ["--config_file", f"{root}/configs/{config}", *shared, *more]
        began = time.perf_counter()
        done = subprocess.run(command, env={**os.environ}, capture_output=True, text=True, check=False)
        seconds[name] = [time.perf_counter() - began]
        contract(done.returncode == 0, f"the process of {name} ends well", done.stderr[-2000:])
    _written(given.work / "ours_process", _grid(image))
    return faster(
        "Prediction as a process of its own, imports included",
        Side.of("ours", "s", seconds["ours"]),
        Side.of("zoo", "s", seconds["zoo"]),
        (seconds["ours"], seconds["zoo"]),
        **common,
    )


if __name__ == "__main__":
    answer(measure)
