"""Predictions through OpenVINO say what torch's say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from bundle_samples import TEACHER, brain, save, save_case
from monai.bundle import ConfigParser, ConfigWorkflow

from kd_monai.config.overlays import bundle_scripts
from kd_monai.export import openvino as module
from kd_monai.export.openvino import openvino_model
from kd_monai.export.predict import predict
from kd_monai.networks.inferers import openvino_is_installed

pytestmark = pytest.mark.skipif(not openvino_is_installed(), reason="the extra [fast] is not installed")
Make = Callable[..., Path]


def labels(path: Path) -> np.ndarray:
    return np.asanyarray(nib.load(path).dataobj)


def noisy(folder: Path) -> Path:
    image = brain()
    noise = np.random.default_rng(0).normal(0, 20, image.shape)
    return save(np.where(image > 0, image + noise, 0).astype(np.float32), folder / "image.nii.gz")


@pytest.mark.parametrize("spacing_mm", [None, [3.0, 3.0, 3.0]])
def test_label_map_is_torchs(spacing_mm: list[float] | None, tmp_path: Path, make_bundle: Make) -> None:
    bundle, image = make_bundle(spacing_mm=spacing_mm), noisy(tmp_path)
    torchs, fast = (
        labels(predict(bundle, image, tmp_path / runtime, runtime=runtime, device="cpu")[0])
        for runtime in ("torch", "openvino")
    )
    assert len(np.unique(torchs)) > 1
    assert (torchs != fast).mean() < 1e-3


def test_teachers_four_modalities(tmp_path: Path, make_bundle: Make) -> None:
    bundle, case = make_bundle(TEACHER), save_case(tmp_path / "in" / "a")
    torchs, fast = (
        labels(predict(bundle, case, tmp_path / runtime, runtime=runtime, device="cpu")[0])
        for runtime in ("torch", "openvino")
    )
    assert (torchs != fast).mean() < 1e-3


def resolved(bundle: Path, **overrides: object) -> str:
    workflow = ConfigWorkflow(
        config_file=str(bundle / "configs" / "inference.yaml"),
        workflow_type="infer",
        logging_file=False,
        bundle_root=str(bundle),
        **overrides,
    )
    with bundle_scripts(bundle):
        workflow.initialize()
        return workflow.parser.get_parsed_content("resolved_runtime")


def test_auto_is_openvino_once_the_bundle_has_its_model(make_bundle: Make) -> None:
    bundle = make_bundle()
    assert resolved(bundle) == "torch"
    openvino_model(bundle)
    assert resolved(bundle) == "openvino"
    assert resolved(bundle, runtime="torch") == "torch"
    assert resolved(bundle, device="cuda") == "torch"


def test_model_is_asked_for_and_missing(tmp_path: Path, make_bundle: Make, infer: Callable[..., object]) -> None:
    with pytest.raises(RuntimeError) as caught:
        infer(make_bundle(), save(brain(), tmp_path / "image.nii.gz"), tmp_path / "out", runtime="openvino")
    assert "model.xml" in str(caught.value.__cause__ or caught.value)


def test_telemetry_stays_out(tmp_path: Path, make_bundle: Make) -> None:
    import sys

    predict(make_bundle(), noisy(tmp_path), tmp_path / "out", runtime="openvino", device="cpu")
    assert sys.modules["openvino_telemetry"] is None


def test_windows_of_every_size_go_through(make_bundle: Make) -> None:
    bundle = make_bundle()
    path = openvino_model(bundle)
    parser = ConfigParser()
    parser.read_config(bundle / "configs" / "inference.yaml")
    network = parser.get_parsed_content("network_def").eval()
    network.load_state_dict(torch.load(bundle / "models" / "model.pt", weights_only=True))
    run = module.shared_core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for shape in ((1, 1, 32, 32, 32), (2, 1, 32, 48, 64)):
        window = torch.rand(shape)
        with torch.no_grad():
            torch.testing.assert_close(torch.from_numpy(run(window.numpy())[0]), network(window), rtol=0, atol=1e-3)


def test_network_that_comes_out_differently_is_refused(make_bundle: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TOLERANCE", 0.0)
    bundle = make_bundle()
    with pytest.raises(ValueError, match="must be torch's within"):
        openvino_model(bundle)
    assert not (bundle / "models" / "model.xml").exists()
