"""`make predict` from the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from bundle_samples import as_labels, brain, save
from tiny import command

Make = Callable[..., Path]


def predict(**typed: object) -> int:
    """Its exit status."""
    return command("predict", [f"{name.upper()}={value}" for name, value in typed.items()])


@pytest.mark.parametrize(("labels", "values"), [("brats2023", (1, 2, 3)), ("brats2018", (1, 2, 4)), ("msd", (2, 1, 3))])
def test_label_map_in_the_convention_asked_for(
    labels: str, values: tuple[int, int, int], tmp_path: Path, make_bundle: Make
) -> None:
    image = save(brain(), tmp_path / "image.nii.gz")
    bundle = make_bundle(image=brain())
    assert predict(bundle=bundle, input=image, predictions=tmp_path / "out", labels=labels) == 0
    written = np.asanyarray(nib.load(tmp_path / "out" / "image_seg.nii.gz").dataobj)
    np.testing.assert_array_equal(written, as_labels(brain(), values))


def test_probabilities_on_request(tmp_path: Path, make_bundle: Make) -> None:
    image, out = save(brain(), tmp_path / "image.nii.gz"), tmp_path / "out"
    assert predict(bundle=make_bundle(image=brain()), input=image, predictions=out, probabilities=1) == 0
    assert nib.load(out / "image_prob.nii.gz").shape == (30, 36, 32, 3)


def test_bad_input_ends_with_its_reason_alone(
    tmp_path: Path, make_bundle: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    image = save(np.ones((90, 90, 90), np.float32), tmp_path / "head.nii.gz")
    assert predict(bundle=make_bundle(image=brain()), input=image, predictions=tmp_path / "out") == 2
    message = capsys.readouterr().err
    assert "head.nii.gz" in message
    assert "must be skull-stripped" in message
    assert "Traceback" not in message


@pytest.mark.parametrize("typed", [{}, {"run": "a"}, {"input": "b"}, {"run": "a", "bundle": "b", "input": "c"}])
def test_without_one_network_and_an_input_an_example_is_given(
    typed: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(**typed) == 2
    message = capsys.readouterr().err
    assert "make predict RUN=runs/kdnet_t1ce-fold0-KEY INPUT=t1ce.nii.gz" in message
    assert "Traceback" not in message


@pytest.mark.parametrize("there", [False, True])
def test_input_without_an_image_is_refused_by_the_users_name_for_it(
    there: bool, tmp_path: Path, make_bundle: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    images = tmp_path / "images"
    if there:
        images.mkdir()
    assert predict(bundle=make_bundle(image=brain()), input=images, predictions=tmp_path / "out") == 2
    message = capsys.readouterr().err
    assert "INPUT must be an image" in message
    assert "dataset_dir" not in message
    assert (f"{images} does not exist" in message) is not there


def test_folder_that_is_no_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict(run=tmp_path, input="x.nii", predictions=tmp_path / "out") == 2
    assert "has a run.json" in capsys.readouterr().err
