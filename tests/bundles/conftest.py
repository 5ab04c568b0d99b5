"""Bundles with weights, and inference in this process."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from bundle_samples import STUDENT, thresholds
from monai.bundle import ConfigParser, ConfigWorkflow

from kd_monai.config.overlays import SHARED, bundle_scripts, inference_files


@pytest.fixture
def make_bundle(tmp_path: Path) -> Callable[..., Path]:
    """A template with weights: of its own network at random, or the thresholds of an image."""

    def make(template: Path = STUDENT, image: np.ndarray | None = None, **settings: Any) -> Path:
        bundle = tmp_path / f"{template.name}_{len(list(tmp_path.iterdir()))}"
        (bundle / "models").mkdir(parents=True)
        (bundle / "configs").mkdir()
        shutil.copytree(SHARED / "scripts", bundle / "scripts")
        shutil.copyfile(template / "configs" / "metadata.json", bundle / "configs" / "metadata.json")
        path = bundle / "configs" / "inference.yaml"
        config = ConfigParser.load_config_files(inference_files(template))
        if image is not None:
            definition, weights = thresholds(image, len(config["modalities"]))
            settings = {"network_def": definition, "spacing_mm": None, **settings}
        config |= {"roi_size": [32, 32, 32], "device": "cpu", **settings}
        path.write_text(yaml.safe_dump(config, sort_keys=False))
        if image is None:
            torch.manual_seed(0)
            weights = ConfigParser(config).get_parsed_content("network_def").state_dict()
        torch.save(weights, bundle / "models" / "model.pt")
        return bundle

    return make


@pytest.fixture
def infer() -> Callable[..., ConfigWorkflow]:
    """Run a bundle's inference in this process."""

    def run(bundle: Path, dataset_dir: Path, output_dir: Path, **overrides: Any) -> ConfigWorkflow:
        workflow = ConfigWorkflow(
            config_file=str(bundle / "configs" / "inference.yaml"),
            workflow_type="infer",
            logging_file=False,
            bundle_root=str(bundle),
            dataset_dir=str(dataset_dir),
            output_dir=str(output_dir),
            **overrides,
        )
        with bundle_scripts(bundle):
            workflow.initialize()
            workflow.run()
            return workflow

    return run
