"""Do fast predictions say what plain ones say? bf16, channels_last and OpenVINO against torch in float32.

Every finished run under ``--out`` (at most 2, students first) predicts its own test cases, file to file, in each of the
ways. Reached is a pooled Dice of 0.998 between fast and plain regions, over a run's cases and for each of TC, WT, ET.
The contract: the ways that stay in float32 reach it, since users get them unasked, and in none does the mean Dice
against the references change by more than 0.002; where a run has scores, the plain way has the same. Nothing is trained
here: without a finished run there is no row. Ways in bf16 are asked where the hardware has it: elsewhere torch takes
minutes a case and OpenVINO computes in float32. `tiny` asks an untrained network about one phantom in all ways; its
bound is loose.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import nibabel as nib
import numpy as np
import torch
import yaml
from monai.bundle import ConfigParser
from monai.metrics import compute_dice
from numpy.typing import NDArray

from kd_monai.config.overlays import STUDENT
from kd_monai.data import Datalist
from kd_monai.export.bundle import export_bundle, finished_runs, template_of
from kd_monai.export.predict import predict
from kd_monai.export.verify import untrained_run
from kd_monai.metrics import read_cases
from kd_monai.networks.runtimes.openvino_forward import openvino_is_installed
from kd_monai.task import LABEL_CONVENTIONS, REGIONS
from question import Given, answer, contract, without_slow_bf16
from row import Reach, Row, Side

POOLED, CHANGE, TINY_POOLED = 0.998, 0.002, 0.9
TORCH = {"torch bf16": {"bf16": True}, "torch fp32 channels_last": {}, "torch bf16 channels_last": {"bf16": True}}
OPENVINO: dict[str, dict[str, Any]] = {"OpenVINO fp32": {}, "OpenVINO bf16": {"bf16": True}}


class Told(NamedTuple):
    """What a way told about one run's cases."""

    case: str
    pooled: dict[str, float]
    dice: NDArray[np.float64]
    plain_dice: NDArray[np.float64]

    def __str__(self) -> str:
        regions = ", ".join(f"{region} {dice:.5f}" for region, dice in self.pooled.items())
        return f"{self.case}: {regions}, mean Dice {self.plain_dice.mean():.4f} {self.change:+.5f}"

    @property
    def change(self) -> float:
        """Of the mean Dice against the references."""
        return float(self.dice.mean() - self.plain_dice.mean())


def measure(given: Given) -> list[Row]:
    """Agreement of fast with plain predictions, a row for each way."""
    logging.getLogger("monai").setLevel(logging.WARNING)
    runs = [_untrained(given)] if given.tiny else finished_runs(given.out)
    runs = sorted(runs, key=lambda run: ("student", "baseline", "teacher").index(_record(run)["role"]))[:2]
    if not runs:
        logging.warning("No finished run under %s: train one (make student), then ask again.", given.out)
        return []
    told: dict[str, list[Told]] = {}
    for run in runs:
        for name, one in _of_run(given, run).items():
            told.setdefault(name, []).append(one)
    return [_row(given, name, runs) for name, runs in told.items()]


def _row(given: Given, name: str, told: Sequence[Told]) -> Row:
    figures = [dice for one in told for dice in one.pooled.values()]
    text = "; ".join(map(str, told))
    if given.tiny or "fp32" in name:
        bound = TINY_POOLED if given.tiny else POOLED
        contract(min(figures) >= bound, f"{name}: pooled Dice with torch fp32 is at least {bound}", text)
    if not given.tiny:
        change = max(abs(one.change) for one in told)
        contract(change <= CHANGE, f"{name}: the mean Dice changes by at most {CHANGE}", text)
    return Row(
        f"Fast numerics: pooled Dice of {name} with torch fp32, the lowest of the regions",
        "pooled Dice",
        min(figures),
        min(figures),
        max(figures),
        Side.of(name, "mean Dice of a case", [float(dice) for one in told for dice in one.dice.mean(1)]),
        Side.of("torch fp32", "mean Dice of a case", [float(dice) for one in told for dice in one.plain_dice.mean(1)]),
        contract=f"same cases, same bundle, only the way differs; {text}",
        reach=Reach("at least", POOLED),
        size=given.size,
        rounds=len(told),
    )


def _of_run(given: Given, run: Path) -> dict[str, Told]:
    record = _record(run)
    entries = _cases(given, run)
    references = np.stack([_regions(entry["label"], record["labels"]) for entry in entries])
    inputs = given.work / "inputs" / run.name
    inputs.mkdir(parents=True)
    modalities = record["modality"].split("-")
    for entry in entries:
        for name in modalities:
            (inputs / Path(entry["image"][name]).name).symlink_to(Path(entry["image"][name]).absolute())
    # exported anew: a run's own bundle may be older than the template
    bundle = export_bundle(run, template_of(record), given.work / f"{run.name}_bundle")
    turned = _channels_last(bundle, given.work / f"{run.name}_channels_last")

    def predicted(name: str, runtime: Literal["openvino", "torch"], bf16: bool = False) -> NDArray[np.bool_]:
        source = turned if "channels_last" in name else bundle
        device, out = given.device.type, given.work / run.name / name
        maps = {file.name: file for file in predict(source, inputs, out, runtime=runtime, bf16=bf16, device=device)}
        names = [Path(entry["image"][modalities[0]]).name.split(".nii")[0] + "_seg.nii.gz" for entry in entries]
        return np.stack([_regions(maps[file], "brats2023") for file in names])

    plain = predicted("plain", "torch")
    plain_dice = _dice(plain, references)
    if (run / "cases.csv").is_file() and not given.tiny:
        cases = read_cases(run / "cases.csv").set_index("subject").loc[[entry["subject"] for entry in entries]]
        gap = float(np.abs(cases[[f"dice_{region}" for region in REGIONS]].to_numpy() - plain_dice).max())
        contract(gap <= CHANGE, f"{run.name}: the plain way has the scores of cases.csv within {CHANGE}", gap)
    case = f"{record['role']} {record['modality']}, n = {len(entries)}, seed {record['seed']}"
    told = {}
    ways = {**TORCH, **(OPENVINO if openvino_is_installed() and given.device.type == "cpu" else {})}
    for name, way in without_slow_bf16(given, ways).items():
        fast = predicted(name, "openvino" if name in OPENVINO else "torch", **way)
        pooled = {region: _pooled(fast[:, i], plain[:, i]) for i, region in enumerate(REGIONS)}
        told[name] = Told(case, pooled, _dice(fast, references), plain_dice)
    return told


def _record(run: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((run / "run.json").read_text())
    return record


def _untrained(given: Given) -> Path:
    return untrained_run(
        STUDENT,
        [STUDENT / "configs" / "train.yaml", STUDENT / "configs" / "methods" / "baseline.yaml"],
        dataset_dir=str(given.small_data),
        output_dir=str(given.work / "runs"),
        device="cpu",
        roi_size=[32, 32, 32],
        width=4,
        spacing_mm=4.0,
    )


def _cases(given: Given, run: Path) -> list[dict[str, Any]]:
    """The run's test cases; of an untrained network one."""
    config = ConfigParser.load_config_file(run / "config.yaml")
    entries = Datalist.load(
        config["dataset_dir"],
        labels=config["labels"],
        modalities=_record(run)["modality"].split("-"),
        split_file=run / "split.json",
        fold=_record(run)["fold"],
    ).test
    return entries[:1] if given.tiny else entries


def _channels_last(bundle: Path, out: Path) -> Path:
    """The bundle with its weights laid out as channels_last_3d."""
    shutil.copytree(bundle, out)
    path = out / "configs" / "inference.yaml"
    config = ConfigParser.load_config_file(path)
    config["network"] = "$@network_def.to(torch.device(@device), memory_format=torch.channels_last_3d)"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return out


def _regions(file: str | Path, convention: str) -> np.ndarray:
    """Masks ``3 H W D`` of TC, WT, ET in a label file."""
    labels = np.asanyarray(nib.load(file).dataobj)
    values = LABEL_CONVENTIONS[convention].regions
    return np.stack([np.isin(labels, values[region]) for region in REGIONS])


def _pooled(a: np.ndarray, b: np.ndarray) -> float:
    """Dice of all cases' voxels together; 1 where both are empty."""
    size = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / size if size else 1.0


def _dice(pred: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Dice of cases and regions, ``N x 3``; both empty counts 1."""
    return compute_dice(torch.from_numpy(pred), torch.from_numpy(label), ignore_empty=False).double().numpy()


if __name__ == "__main__":
    answer(measure)
