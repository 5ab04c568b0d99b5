"""MONAI's own checks of the shipped bundles, without a network."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path

import jsonschema
import pytest
from bundle_samples import BUNDLES, STUDENT, TEACHER, as_labels, brain, save, save_case

from kd_monai.config.overlays import SHARED, inference_files, train_files
from kd_monai.export.verify import SCHEMA, untrained_run, verify_properties, verify_static

REQUIRED = (
    "schema",
    "version",
    "monai_version",
    "pytorch_version",
    "numpy_version",
    "required_packages_version",
    "task",
    "description",
    "authors",
    "copyright",
    "network_data_format",
)

both = pytest.mark.parametrize("bundle", [STUDENT, TEACHER], ids=lambda path: path.name)


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("these checks are offline")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six BraTS 2018 cases, no two alike."""
    folder = tmp_path_factory.mktemp("cases")
    for index in range(6):
        image = brain()
        image[image == 100] += index
        case = save_case(folder / ("HGG" if index % 2 else "LGG") / f"Case_{index}", image)
        save(as_labels(image, (1, 2, 4)), case / f"{case.name}_seg.nii.gz")
    return folder


@both
def test_metadata_network_and_export_pass(bundle: Path) -> None:
    verify_static(bundle, BUNDLES / "schema")


@both
def test_inference_has_the_required_ids_before_there_is_any_input(bundle: Path, tmp_path: Path) -> None:
    verify_properties(bundle, "infer", inference_files(bundle), device="cpu", dataset_dir=str(tmp_path))


def test_training_and_evaluation_have_the_required_ids(cases: Path, tmp_path: Path) -> None:
    settings = {"dataset_dir": str(cases), "output_dir": str(tmp_path), "device": "cpu", "n_subjects": 1}
    for bundle in (TEACHER, STUDENT):
        verify_properties(bundle, "train", train_files(bundle), **settings)
        run = untrained_run(bundle, train_files(bundle), **settings)
        files = [*train_files(bundle), run / "config.yaml", SHARED / "evaluate.yaml"]
        verify_properties(bundle, "infer", files, **settings, run_dir=str(run))
        settings["teacher"] = str(run)


@both
@pytest.mark.parametrize("key", REQUIRED)
def test_schema_asks_for_every_required_key(bundle: Path, key: str) -> None:
    schema = json.loads((BUNDLES / "schema" / SCHEMA).read_text())
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    del metadata[key]
    with pytest.raises(jsonschema.ValidationError, match=key):
        jsonschema.validate(metadata, schema)


def test_missing_id_is_named(tmp_path: Path) -> None:
    parts = tmp_path / "prediction.yaml"
    text = (SHARED / "prediction.yaml").read_text()
    parts.write_text(text.replace("\ninferer:", "\nother:").replace('"@inferer"', '"@other"'))
    files = [parts, SHARED / "preprocessing.yaml", STUDENT / "configs" / "inference.yaml"]
    with pytest.raises(ValueError, match=r"lacks or renames .*inferer"):
        verify_properties(STUDENT, "infer", files, device="cpu")


def test_network_that_contradicts_the_metadata_is_refused(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(STUDENT, bundle)
    path = bundle / "configs" / "metadata.json"
    path.write_text(path.read_text().replace('"num_channels": 3', '"num_channels": 4'))
    with pytest.raises(ValueError, match="output channel number"):
        verify_static(bundle, BUNDLES / "schema")
