"""A run folder becomes a bundle that needs nothing of ours."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
import yaml
from monai.bundle import ConfigParser
from monai.inferers import SlidingWindowInferer
from torch import nn
from warm_python import WarmPython

from kd_monai.config.overlays import train_files
from kd_monai.export import bundle as export
from kd_monai.export.bundle import export_bundle
from kd_monai.export.openvino import openvino_model
from kd_monai.export.verify import verify_properties, verify_static
from kd_monai.networks import MultiResUNet, RegionsHead, openvino_is_installed

BUNDLES = Path(__file__).parents[2] / "bundles"
STUDENT = BUNDLES / "brats_monomodal_student"


class Doubler(nn.Module):
    """A network that MONAI lacks."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layer = nn.Conv3d(channels, 3, 3, padding=1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return 2 * self.layer(image)


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """What a student's training leaves behind, with random weights."""
    return make_run(tmp_path / "run", modality="t2", width=2)


def make_run(folder: Path, **changes: Any) -> Path:
    parser = ConfigParser()
    parser.read_config(train_files(STUDENT))
    for name, value in {"roi_size": [32, 32, 32], "overlap": 0.25, **changes}.items():
        parser[name] = value
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(parser.get(), sort_keys=False))
    record = {
        "role": "student",
        "method": "kdnet",
        "modality": "t2",
        "fold": 0,
        "status": "FINISHED",
        "seen": ["Case_1"],
    }
    (folder / "run.json").write_text(json.dumps(record))
    torch.manual_seed(0)
    torch.save(parser.get_parsed_content("network_def").state_dict(), folder / "model.pt")
    return folder


def infer_without_kd_monai(bundle: Path, config: str, folder: Path, python: Path) -> np.ndarray:
    """The label map of a random brain, by stock MONAI in a process of its own where kd_monai cannot be imported."""
    block = folder / "block" / "kd_monai"
    block.mkdir(parents=True, exist_ok=True)
    (block / "__init__.py").write_text("raise ImportError('kd_monai is blocked')\n")
    image = np.random.default_rng(0).uniform(1, 2, (40, 45, 50)).astype(np.float32)
    nib.save(nib.Nifti1Image(image, np.diag([2.0, 2, 2, 1])), folder / "image.nii.gz")
    environment = {**os.environ, "PYTHONPATH": str(block.parent)}
    blocked = subprocess.run([python, "-m", "kd_monai"], env=environment, capture_output=True, text=True, check=False)
    assert "kd_monai is blocked" in blocked.stderr
    command = [python, "-m", "monai.bundle", "run", "--config_file", str(bundle / "configs" / config)]
    command += ["--bundle_root", str(bundle), "--dataset_dir", "image.nii.gz", "--output_dir", "out", "--device", "cpu"]
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return np.asanyarray(nib.load(folder / "out" / "image_seg.nii.gz").dataobj)


@pytest.mark.parametrize("installed", [True, False])
def test_bundle_has_every_file_and_one_set_of_weights(
    installed: bool, run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if installed and not openvino_is_installed():
        pytest.skip("the extra [fast] is not installed")
    monkeypatch.setattr(export, "openvino_is_installed", lambda: installed)
    bundle = export_bundle(run_folder, STUDENT, tmp_path / "bundle")
    assert sorted(str(path.relative_to(bundle)) for path in bundle.rglob("*") if path.is_file()) == [
        "LICENSE",
        "configs/inference.json",
        "configs/inference.yaml",
        "configs/logging.conf",
        "configs/metadata.json",
        "docs/README.md",
        "docs/data_license.txt",
        *(["models/model.bin"] if installed else []),
        "models/model.pt",
        *(["models/model.xml"] if installed else []),
        "scripts/__init__.py",
        "scripts/inputs.py",
        "scripts/prediction.py",
        "scripts/preprocessing.py",
    ]


def test_bundle_carries_the_runs_own_settings(run_folder: Path, tmp_path: Path) -> None:
    configs = export_bundle(run_folder, STUDENT, tmp_path / "bundle") / "configs"
    config = ConfigParser.load_config_file(configs / "inference.yaml")
    assert config == json.loads((configs / "inference.json").read_text())
    assert config["modalities"] == ["t2"]
    assert config["roi_size"] == [32, 32, 32]
    assert config["overlap"] == 0.25
    assert config["spacing_mm"] == [2.0, 2.0, 2.0]
    assert config["network_def"]["features"] == [2, 4, 8, 16, 32, 2]
    assert "kd_monai" not in json.dumps(config)


def test_metadata_describes_the_run_and_names_no_subject(run_folder: Path, tmp_path: Path) -> None:
    (run_folder / "cases.csv").write_text("subject,grade,dice_TC,dice_ET\nCase_1,HGG,0.5,\nCase_2,LGG,0.7,0.25\n")
    text = (export_bundle(run_folder, STUDENT, tmp_path / "bundle") / "configs" / "metadata.json").read_text()
    metadata = json.loads(text)
    assert "Case_" not in text
    assert metadata["training"]["method"] == "kdnet"
    assert metadata["eval_metrics"] == {"test/dice_TC": 0.6, "test/dice_ET": 0.25}
    assert metadata["pytorch_version"] in torch.__version__
    assert metadata["network_data_format"]["inputs"]["image"]["channel_def"] == {"0": "t2"}
    assert metadata["network_data_format"]["outputs"]["pred"]["channel_def"] == {
        "0": "background",
        "1": "core",
        "2": "oedema",
        "3": "enhancing",
    }


def test_bundle_passes_monais_own_checks(run_folder: Path, tmp_path: Path) -> None:
    bundle = export_bundle(run_folder, STUDENT, tmp_path / "bundle")
    verify_static(bundle, BUNDLES / "schema")
    for config in ("inference.yaml", "inference.json"):
        verify_properties(bundle, "infer", [bundle / "configs" / config], device="cpu")


def test_second_export_replaces_the_first(run_folder: Path, tmp_path: Path) -> None:
    bundle = export_bundle(run_folder, STUDENT, tmp_path / "bundle")
    (bundle / "models" / "old.pt").touch()
    export_bundle(run_folder, STUDENT, bundle)
    assert [path.name for path in (bundle / "models").glob("*.pt")] == ["model.pt"]
    assert not list(tmp_path.glob(".bundle*"))


def test_other_folder_is_not_replaced(run_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    with pytest.raises(FileExistsError, match="thesis is none"):
        export_bundle(run_folder, STUDENT, tmp_path / "thesis")


def test_an_export_that_is_cut_short_leaves_the_older_bundle(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = export_bundle(run_folder, STUDENT, tmp_path / "bundle")
    replace = Path.replace

    def fail(path: Path, target: Path) -> Path:
        if target == bundle and not path.name.endswith(".older"):
            raise OSError("no space left on device")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="no space"):
        export_bundle(run_folder, STUDENT, bundle)
    assert (bundle / "models" / "model.pt").is_file()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_unfinished_run_is_refused(run_folder: Path, tmp_path: Path) -> None:
    (run_folder / "model.pt").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no model\.pt"):
        export_bundle(run_folder, STUDENT, tmp_path / "bundle")


def test_weights_of_another_network_are_refused(run_folder: Path, tmp_path: Path) -> None:
    torch.save(nn.Linear(1, 1).state_dict(), run_folder / "model.pt")
    with pytest.raises(ValueError, match="must hold the weights"):
        export_bundle(run_folder, STUDENT, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


@pytest.mark.slow
@pytest.mark.parametrize("head", ["regions", "labels"])
def test_exported_student_runs_where_kd_monai_is_missing(head: str, tmp_path: Path, warm_python: WarmPython) -> None:
    bundle = export_bundle(make_run(tmp_path / "run", width=2, head=head), STUDENT, tmp_path / "bundle")
    config = "inference.json" if head == "labels" else "inference.yaml"
    labels = infer_without_kd_monai(bundle, config, tmp_path, warm_python.program)
    assert labels.shape == (40, 45, 50)
    assert set(np.unique(labels)) <= {0, 1, 2, 3}
    assert labels.any()


MULTIRES = {
    "_target_": "kd_monai.networks.MultiResUNet",
    "in_channels": "$len(@modalities)",
    "out_channels": "$@head_of.out_channels",
    "filters": "@width",
}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The run folder of a MultiResUNet, and its bundle."""
    folder = tmp_path_factory.mktemp("program")
    run = make_run(folder / "run", network_def=MULTIRES, width=4, spacing_mm=None)
    return run, export_bundle(run, STUDENT, folder / "bundle")


@pytest.mark.slow
def test_program_takes_batches_and_windows_of_every_size(program: tuple[Path, Path]) -> None:
    run, bundle = program
    verify_static(bundle, BUNDLES / "schema")
    network = MultiResUNet(1, 3, filters=4)
    network.load_state_dict(torch.load(run / "model.pt"))
    loaded = torch.export.unflatten(torch.export.load(bundle / "models" / "model.pt2"))
    assert loaded.state_dict().keys() == network.state_dict().keys()
    for shape in ((1, 1, 32, 32, 32), (3, 1, 32, 48, 64)):
        image = torch.rand(shape)
        with torch.no_grad():
            torch.testing.assert_close(loaded(image), network(image))


@pytest.mark.slow
def test_openvinos_model_of_a_program_comes_from_the_export_alone(program: tuple[Path, Path], tmp_path: Path) -> None:
    if not openvino_is_installed():
        pytest.skip("the extra [fast] is not installed")
    bundle = Path(shutil.copytree(program[1], tmp_path / "bundle"))
    assert openvino_model(bundle) == bundle / "models" / "model.xml"
    (bundle / "models" / "model.xml").unlink()
    with pytest.raises(ValueError, match=r"reads no exported program.*Export the run again"):
        openvino_model(bundle)


@pytest.mark.slow
def test_multiresunet_runs_where_kd_monai_is_missing(
    program: tuple[Path, Path], tmp_path: Path, warm_python: WarmPython
) -> None:
    run, bundle = program[0], Path(shutil.copytree(program[1], tmp_path / "bundle"))
    (bundle / "models" / "model.xml").unlink(missing_ok=True)  # torch runs the program
    labels = infer_without_kd_monai(bundle, "inference.yaml", tmp_path, warm_python.program)
    image = torch.from_numpy(nib.load(tmp_path / "image.nii.gz").get_fdata(dtype=np.float32))
    network = MultiResUNet(1, 3, filters=4)
    network.load_state_dict(torch.load(run / "model.pt"))
    image = ((image - image.mean()) / image.std(correction=0))[None, None]
    logits = SlidingWindowInferer([32, 32, 32], overlap=0.25, mode="gaussian")(image, network)
    assert len(np.unique(labels)) > 1
    assert (labels == RegionsHead().label_map(logits)[0, 0].numpy()).mean() > 0.999


@pytest.mark.slow
def test_what_a_network_imports_beyond_monai_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "openvino_is_installed", lambda: False)  # the tests of what is shipped export this one
    definition = {
        "_target_": "monai.networks.nets.SwinUNETR", "in_channels": 1, "out_channels": 3, "feature_size": 12,
        "depths": [1, 1, 1, 1],
    }  # fmt: skip
    run = make_run(tmp_path / "run", network_def=definition, roi_size=[32, 32, 64])
    bundle = export_bundle(run, STUDENT, tmp_path / "bundle")
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    assert list(metadata["required_packages_version"]) == ["nibabel", "pytorch-ignite", "PyYAML", "einops"]
    verify_static(bundle, BUNDLES / "schema")


@pytest.mark.slow
def test_network_that_monai_lacks_travels_as_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    definition = {"_target_": f"{__name__}.Doubler", "channels": "$len(@modalities)"}
    run = make_run(tmp_path / "run", network_def=definition, spacing_mm=None)
    bundle = export_bundle(run, STUDENT, tmp_path / "bundle")
    assert [path.name for path in (bundle / "models").glob("*.pt")] == ["model.pt"]
    assert __name__ not in (bundle / "configs" / "inference.yaml").read_text()
    network = Doubler(1)
    network.load_state_dict(torch.load(run / "model.pt"))
    parser = ConfigParser()
    parser.read_config(bundle / "configs" / "inference.yaml")
    parser["bundle_root"] = str(bundle)
    image = torch.rand(1, 1, 32, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = network(image)
        monkeypatch.delattr(Doubler, "forward")  # what travels has no need of it
        torch.testing.assert_close(parser.get_parsed_content("network_def")(image), expected)
