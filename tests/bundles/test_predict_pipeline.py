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


Predict = Callable[[list[str]], int]


@pytest.fixture
def predict(monkeypatch: pytest.MonkeyPatch) -> Predict:
    """Its exit status."""
    return lambda line: command("predict", line)


@pytest.mark.parametrize(("labels", "values"), [("brats2023", (1, 2, 3)), ("brats2018", (1, 2, 4)), ("msd", (2, 1, 3))])
def test_label_map_in_the_convention_asked_for(
    labels: str, values: tuple[int, int, int], tmp_path: Path, make_bundle: Make, predict: Predict
) -> None:
    image = save(brain(), tmp_path / "image.nii.gz")
    bundle = make_bundle(image=brain())
    predict(["--bundle", str(bundle), "--input", str(image), "--out", str(tmp_path / "out"), "--labels", labels])
    written = np.asanyarray(nib.load(tmp_path / "out" / "image_seg.nii.gz").dataobj)
    np.testing.assert_array_equal(written, as_labels(brain(), values))


def test_probabilities_on_request(tmp_path: Path, make_bundle: Make, predict: Predict) -> None:
    image, out = save(brain(), tmp_path / "image.nii.gz"), tmp_path / "out"
    predict(["--bundle", str(make_bundle(image=brain())), "--input", str(image), "--out", str(out), "--probabilities"])
    assert nib.load(out / "image_prob.nii.gz").shape == (30, 36, 32, 3)


def test_bad_input_ends_with_its_reason_alone(
    tmp_path: Path, make_bundle: Make, predict: Predict, capsys: pytest.CaptureFixture[str]
) -> None:
    image = save(np.ones((90, 90, 90), np.float32), tmp_path / "head.nii.gz")
    line = ["--bundle", str(make_bundle(image=brain())), "--input", str(image), "--out", str(tmp_path / "out")]
    assert predict(line) == 2
    message = capsys.readouterr().err
    assert "head.nii.gz" in message
    assert "must be skull-stripped" in message
    assert "Traceback" not in message


@pytest.mark.parametrize(
    ("line", "got"), [([], "got RUN= INPUT=."), (["--run", "a"], "got RUN=a INPUT=."), (["--input", "b"], "INPUT=b.")]
)
def test_without_run_or_input_an_example_is_given(
    line: list[str], got: str, predict: Predict, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict([*line, "--out", "out"]) == 2
    said = capsys.readouterr().err
    assert got in said
    assert "ls OUT" in said
    assert "make predict RUN=runs/kdnet_t1ce-fold0-KEY INPUT=t1ce.nii.gz" in said
    assert "usage" not in said


@pytest.mark.parametrize("there", [False, True])
def test_input_without_an_image_is_refused_by_the_users_name_for_it(
    there: bool, tmp_path: Path, make_bundle: Make, predict: Predict, capsys: pytest.CaptureFixture[str]
) -> None:
    images = tmp_path / "images"
    if there:
        images.mkdir()
    line = ["--bundle", str(make_bundle(image=brain())), "--input", str(images), "--out", str(tmp_path / "out")]
    assert predict(line) == 2
    said = capsys.readouterr().err
    assert "INPUT must be an image" in said
    assert "dataset_dir" not in said
    assert (f"{images} does not exist" in said) is not there


def test_folder_that_is_no_run_is_refused(tmp_path: Path, predict: Predict, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict(["--run", str(tmp_path), "--input", "x.nii", "--out", str(tmp_path / "out")]) == 2
    assert "has a run.json" in capsys.readouterr().err
