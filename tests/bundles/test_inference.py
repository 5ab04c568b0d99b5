"""inference.yaml of both bundles, run as stock MONAI runs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from bundle_samples import AFFINE, SHAPE, STUDENT, TEACHER, as_labels, brain, save, save_case
from monai.bundle import ConfigParser, ConfigWorkflow
from shipped import inference

from kd_monai.config.overlays import inference_files

Make = Callable[..., Path]
Infer = Callable[..., ConfigWorkflow]


def causes(error: BaseException | None) -> str:
    """The messages of an exception and of everything that caused it."""
    return "" if error is None else f"{error}\n{causes(error.__cause__)}"


def voxels(path: Path) -> np.ndarray:
    return np.asanyarray(nib.load(path).dataobj)


def test_label_map_has_the_inputs_own_voxels(tmp_path: Path, make_bundle: Make, infer: Infer) -> None:
    image = brain()
    save(image, tmp_path / "in" / "patient 1.nii.gz")
    infer(make_bundle(image=image), tmp_path / "in" / "patient 1.nii.gz", tmp_path / "out")
    written = nib.load(tmp_path / "out" / "patient 1_seg.nii.gz")
    assert written.shape == SHAPE
    assert written.get_data_dtype() == np.uint8
    np.testing.assert_allclose(written.affine, AFFINE, atol=1e-5)
    np.testing.assert_array_equal(np.asanyarray(written.dataobj), as_labels(image))


@pytest.mark.parametrize("axes", ["RAS", "LPS", "ASL", "PIR"])
def test_every_orientation_comes_back(axes: str, tmp_path: Path, make_bundle: Make, infer: Infer) -> None:
    turned = nib.Nifti1Image(brain(), np.diag([4.0, 4, 4, 1])).as_reoriented(
        nib.orientations.ornt_transform(nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(axes))
    )
    nib.save(turned, tmp_path / "image.nii")
    infer(make_bundle(image=brain()), tmp_path / "image.nii", tmp_path / "out")
    written = nib.load(tmp_path / "out" / "image_seg.nii.gz")
    assert nib.aff2axcodes(written.affine) == tuple(axes)
    np.testing.assert_allclose(written.affine, turned.affine, atol=1e-5)
    np.testing.assert_array_equal(np.asanyarray(written.dataobj), as_labels(np.asanyarray(turned.dataobj)))


def test_resampled_input_comes_back_on_its_own_grid(tmp_path: Path, make_bundle: Make, infer: Infer) -> None:
    image = brain()
    save(image, tmp_path / "image.nii.gz")
    infer(make_bundle(image=image, spacing_mm=[3.0, 3.0, 3.0]), tmp_path / "image.nii.gz", tmp_path / "out")
    written, expected = voxels(tmp_path / "out" / "image_seg.nii.gz") > 0, as_labels(image) > 0
    assert written.shape == SHAPE
    overlap = 2 * (written & expected).sum() / (written.sum() + expected.sum())
    assert overlap > 0.85
    shift = [np.mean(np.nonzero(a), axis=1) for a in (written, expected)]
    np.testing.assert_allclose(*shift, atol=0.3)


@pytest.mark.parametrize(("values", "given"), [((1, 2, 4), {"enhancing": 4}), ((2, 1, 3), {"core": 2, "oedema": 1})])
def test_another_label_convention_on_request(
    values: tuple[int, int, int], given: dict[str, int], tmp_path: Path, make_bundle: Make, infer: Infer
) -> None:
    image = brain()
    save(image, tmp_path / "image.nii.gz")
    overrides = {f"label_values#{name}": value for name, value in given.items()}
    infer(make_bundle(image=image), tmp_path / "image.nii.gz", tmp_path / "out", **overrides)
    np.testing.assert_array_equal(voxels(tmp_path / "out" / "image_seg.nii.gz"), as_labels(image, values))


def test_probabilities_are_zero_where_the_network_never_looked(tmp_path: Path, make_bundle: Make, infer: Infer) -> None:
    image = np.zeros((40, 40, 40), np.float32)
    image[4:34, 2:38, 3:35] = brain()
    save(image, tmp_path / "image.nii.gz")
    infer(make_bundle(image=brain()), tmp_path / "image.nii.gz", tmp_path / "out", write="probabilities")
    found = voxels(tmp_path / "out" / "image_prob.nii.gz")
    assert found.shape == (40, 40, 40, 3)
    assert found.dtype == np.float32
    assert found[:4].max() == 0
    for channel, cut in enumerate((250, 150, 350)):
        np.testing.assert_array_equal(found[..., channel] > 0.5, image > cut)


def test_folder_gives_the_bundles_modality_only(tmp_path: Path, make_bundle: Make, infer: Infer) -> None:
    save_case(tmp_path / "in" / "HGG" / "a")
    save(brain(), tmp_path / "in" / "b-t1c.nii.gz")
    save(brain(), tmp_path / "in" / "b-t2w.nii.gz")
    save(brain(), tmp_path / "in" / "free name.nii")
    infer(make_bundle(image=brain()), tmp_path / "in", tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "a_t1ce_seg.nii.gz",
        "b-t1c_seg.nii.gz",
        "free name_seg.nii.gz",
    ]


def test_teacher_reads_all_modalities_of_a_case(tmp_path: Path, make_bundle: Make, infer: Infer) -> None:
    save_case(tmp_path / "in" / "a")
    bundle = make_bundle(TEACHER, brain())
    workflow = infer(bundle, tmp_path / "in", tmp_path / "out")
    paths = [Path(p).name for p in workflow.dataset_data[0]["image"]]
    assert paths == ["a_t1.nii.gz", "a_t1ce.nii.gz", "a_t2.nii.gz", "a_flair.nii.gz"]
    np.testing.assert_array_equal(voxels(tmp_path / "out" / "a_t1_seg.nii.gz"), as_labels(brain()))


def bad_image(kind: str) -> np.ndarray:
    image = brain()
    if kind == "NaN":
        image[15, 15, 15] = np.nan
    if kind == "zero":
        image[:] = 0
    if kind == "head":
        image = np.pad(image + 1, 5, constant_values=1)
    return image


@pytest.mark.parametrize(
    ("kind", "rule"),
    [("NaN", "must be finite"), ("zero", "all zero"), ("head", "must be skull-stripped.*--check_skull_stripped False")],
)
def test_bad_image_is_refused_by_name(kind: str, rule: str, tmp_path: Path, make_bundle: Make, infer: Infer) -> None:
    save(bad_image(kind), tmp_path / "image.nii.gz")
    with pytest.raises(RuntimeError) as caught:
        infer(make_bundle(image=brain()), tmp_path / "image.nii.gz", tmp_path / "out")
    assert re.search(rule, causes(caught.value))
    assert "image.nii.gz" in causes(caught.value)
    assert not list((tmp_path / "out").glob("*"))


def test_skull_check_can_be_turned_off(tmp_path: Path, make_bundle: Make, infer: Infer) -> None:
    save(bad_image("head"), tmp_path / "image.nii.gz")
    bundle = make_bundle(image=brain())
    infer(bundle, tmp_path / "image.nii.gz", tmp_path / "out", check_skull_stripped=False)
    assert (tmp_path / "out" / "image_seg.nii.gz").is_file()


def refused(bundle: Path, infer: Infer, data: Path, out: Path) -> str:
    with pytest.raises(RuntimeError) as caught:
        infer(bundle, data, out)
    return causes(caught.value)


def test_file_of_another_modality_is_refused(tmp_path: Path, make_bundle: Make, infer: Infer) -> None:
    case = save_case(tmp_path / "a")
    message = refused(make_bundle(image=brain()), infer, case / "a_t2.nii.gz", tmp_path / "out")
    assert "must be an image of t1ce" in message
    assert "a_t2.nii.gz" in message


def test_case_that_lacks_a_modality_is_named(tmp_path: Path, make_bundle: Make, infer: Infer) -> None:
    save_case(tmp_path / "in" / "a")
    (save_case(tmp_path / "in" / "b") / "b_flair.nii.gz").unlink()
    assert "flair of b" in refused(make_bundle(TEACHER, brain()), infer, tmp_path / "in", tmp_path / "out")


def test_case_whose_files_differ_in_grid_is_named(tmp_path: Path, make_bundle: Make, infer: Infer) -> None:
    case = save_case(tmp_path / "in" / "a")
    save(brain(), case / "a_t2.nii.gz", AFFINE + np.diag([0.5, 0, 0, 0]))
    message = refused(make_bundle(TEACHER, brain()), infer, tmp_path / "in", tmp_path / "out")
    assert "share shape and affine" in message
    assert "a_t1.nii.gz" in message


def test_two_inputs_of_one_name_are_refused(tmp_path: Path, make_bundle: Make, infer: Infer) -> None:
    for folder in "xy":
        save(brain(), tmp_path / "in" / folder / "image.nii.gz")
    message = refused(make_bundle(image=brain()), infer, tmp_path / "in", tmp_path / "out")
    assert "image_seg.nii.gz would be written twice" in message


def test_reference_beside_the_input_is_not_overwritten(tmp_path: Path, make_bundle: Make, infer: Infer) -> None:
    save(brain(), tmp_path / "in" / "a.nii.gz")
    reference = save(as_labels(brain()), tmp_path / "in" / "a_seg.nii.gz")
    before = reference.read_bytes()
    assert "not overwritten" in refused(
        make_bundle(image=brain()), infer, tmp_path / "in" / "a.nii.gz", tmp_path / "in"
    )
    assert reference.read_bytes() == before


@pytest.mark.parametrize("template", [STUDENT, TEACHER], ids=lambda path: path.name)
def test_configuration_names_stock_classes_and_scripts_only(template: Path) -> None:
    for file in inference_files(template):
        text = re.sub("#.*", "", file.read_text())
        assert "kd_monai" not in text
        for target in re.findall(r"_target_: ([\w.]+)", text):
            assert "." not in target or target.startswith(("monai.", "torch.", "scripts."))


@pytest.mark.parametrize("template", [STUDENT, TEACHER], ids=lambda path: path.name)
def test_transforms_stand_as_monai_label_and_deploy_need_them(template: Path) -> None:
    config = ConfigParser.load_config_files(inference_files(template))
    before, after = (config[name]["transforms"] for name in ("preprocessing", "postprocessing"))
    assert [step["_target_"] for step in before[:3]] == ["DeleteItemsd", "LoadImaged", "EnsureChannelFirstd"]
    assert after[0]["_target_"] == "Invertd"
    assert "ensure_channel_first" not in before[1]


def test_preprocessing_takes_monai_labels_extra_key(tmp_path: Path, make_bundle: Make) -> None:
    parser = inference(make_bundle(spacing_mm=[3.0, 3.0, 3.0]))
    path = str(save(brain(), tmp_path / "image.nii.gz"))
    sample = parser.get_parsed_content("preprocessing")({"image": path, "image_path": path})
    assert sample["image"].pixdim.tolist() == pytest.approx([3, 3, 3])


@pytest.mark.slow  # importing itk takes up to twenty seconds
def test_dicom_series_is_a_datalist_entry(tmp_path: Path, make_bundle: Make, infer: Infer) -> None:
    itk = pytest.importorskip("itk")
    volume = brain().astype(np.int16).transpose(2, 1, 0)  # itk's order is slice, row, column
    series = tmp_path / "series"
    series.mkdir()
    for index, plane in enumerate(volume):
        one = itk.image_from_array(plane[None].copy())
        one.SetSpacing([4.0, 4.0, 4.0])
        one.SetOrigin([-50.0, -70.0, -60.0 + 4 * index])
        tags = one.GetMetaDataDictionary()
        for tag, value in {
            "0020|000d": "1.2.3",
            "0020|000e": "1.2.3.4",
            "0020|0013": str(index),
            "0008|0060": "MR",
        }.items():
            tags[tag] = value
        writer = itk.GDCMImageIO.New()
        writer.KeepOriginalUIDOn()
        itk.imwrite(one, str(series / f"{index:03d}.dcm"), imageio=writer)
    infer(make_bundle(image=brain()), tmp_path / "none", tmp_path / "out", datalist=[{"image": str(series)}])
    written = nib.load(tmp_path / "out" / "series_seg.nii.gz")
    np.testing.assert_array_equal(np.asanyarray(written.dataobj), as_labels(brain()))
    np.testing.assert_allclose(written.affine @ [0, 0, 0, 1], [50, 70, -60, 1])  # DICOM's x and y point the other way


def test_templates_differ_in_modalities_alone() -> None:
    student, teacher = (ConfigParser.load_config_files(inference_files(b)) for b in (STUDENT, TEACHER))
    differing = {key for key in student if student[key] != teacher[key]}
    assert differing == {"modalities", "network_def"}
    assert student["network_def"] | {"in_channels": 4} == teacher["network_def"]


@pytest.mark.slow
def test_stock_monai_runs_it_from_any_folder_without_kd_monai(tmp_path: Path, make_bundle: Make) -> None:
    block = tmp_path / "block" / "kd_monai"
    block.mkdir(parents=True)
    (block / "__init__.py").write_text("raise ImportError('kd_monai is blocked')\n")
    environment = {**os.environ, "PYTHONPATH": str(block.parent)}
    blocked = subprocess.run(
        [sys.executable, "-c", "import kd_monai"], env=environment, capture_output=True, text=True, check=False
    )
    assert "kd_monai is blocked" in blocked.stderr
    image, bundle = brain(), make_bundle(image=brain())
    save(image, tmp_path / "image.nii.gz")
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", f"{bundle}/configs/inference.yaml"]
    command += ["--bundle_root", str(bundle), "--dataset_dir", "image.nii.gz", "--output_dir", "out"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(voxels(tmp_path / "out" / "image_seg.nii.gz"), as_labels(image))


def test_real_case_keeps_its_geometry(real_cases: Path, tmp_path: Path, make_bundle: Make, infer: Infer) -> None:
    image = sorted(real_cases.rglob("*_t1ce.nii.gz"))[0]
    infer(make_bundle(roi_size=[64, 64, 64]), image, tmp_path)
    written, source = nib.load(tmp_path / image.name.replace(".nii.gz", "_seg.nii.gz")), nib.load(image)
    assert written.shape == source.shape
    np.testing.assert_array_equal(written.affine, source.affine)
    assert set(np.unique(np.asanyarray(written.dataobj))) <= {0, 1, 2, 3}
