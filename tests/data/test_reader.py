"""Volumes in every format, and several as one image."""

from __future__ import annotations

from pathlib import Path

import itk
import nibabel as nib
import numpy as np
import pytest
from monai.transforms import LoadImaged
from small_cases import volumes, write_case, write_msd

from kd_monai.data import Datalist, VolumeReader, items, reader
from kd_monai.data.reader import UnreadableError, read_volume

SPACING_MM = (1.0, 1.5, 2.0)
ORIGIN = (-5.0, 3.0, 7.0)  # of ITK: left, posterior, superior
AFFINE_RAS = np.array([[-1.0, 0, 0, 5], [0, -1.5, 0, -3], [0, 0, 2.0, 7], [0, 0, 0, 1]])


@pytest.fixture
def voxels() -> np.ndarray:
    return np.random.default_rng(0).integers(1, 1000, (10, 12, 7)).astype(np.int16)


def itk_image(voxels: np.ndarray, first_slice: int = 0) -> itk.Image:
    image = itk.image_from_array(np.ascontiguousarray(voxels.T))
    image.SetSpacing(SPACING_MM)
    image.SetOrigin([ORIGIN[0], ORIGIN[1], ORIGIN[2] + first_slice * SPACING_MM[2]])
    return image


def write_dicom(folder: Path, voxels: np.ndarray) -> None:
    """A series of one file per slice, named against their order."""
    folder.mkdir()
    for number in range(voxels.shape[2]):
        image = itk_image(voxels[:, :, number : number + 1], number)
        tags = image.GetMetaDataDictionary()
        tags["0008|0060"] = "MR"
        tags["0020|000d"], tags["0020|000e"], tags["0020|0052"] = "1.2.3", "1.2.3.4", "1.2.3.5"
        tags["0008|0018"] = f"1.2.3.4.{number + 1}"
        tags["0020|0013"] = str(number + 1)
        dicom = itk.GDCMImageIO.New()
        dicom.KeepOriginalUIDOn()
        writer = itk.ImageFileWriter[type(image)].New(image)
        writer.SetFileName(str(folder / f"{99 - number}.dcm"))
        writer.SetImageIO(dicom)
        writer.Update()


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz", "x.nrrd", "x.mha", "x_t1"])
def test_every_format_gives_the_same_voxels_and_affine(tmp_path: Path, voxels: np.ndarray, name: str) -> None:
    path = tmp_path / name
    if path.suffix:
        itk.imwrite(itk_image(voxels), str(path))
    else:
        write_dicom(path, voxels)
    read, affine = read_volume(path)
    np.testing.assert_array_equal(read, voxels)
    np.testing.assert_allclose(affine, AFFINE_RAS, atol=1e-5)


def test_nifti_2_is_read(tmp_path: Path, voxels: np.ndarray) -> None:
    nib.save(nib.Nifti2Image(voxels, AFFINE_RAS), tmp_path / "x.nii.gz")
    np.testing.assert_array_equal(read_volume(tmp_path / "x.nii.gz")[0], voxels)


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz", "x.nrrd", "x.mha"])
def test_a_truncated_file_is_unreadable(tmp_path: Path, voxels: np.ndarray, name: str) -> None:
    path = tmp_path / name
    itk.imwrite(itk_image(voxels), str(path))
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(UnreadableError, match=r"again|Replace it"):
        read_volume(path)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.float64])
def test_boxes_that_do_not_meet_are_read_whole(order: str, dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what is not 0 is turned to C order."""
    one, other, empty = np.zeros((3, 6, 7, 8), dtype, order)
    one[0, 1:3, 2], other[5, 6, 7] = 5, 3
    arrays = {"one": np.asarray(one, order=order), "other": np.asarray(other, order=order), "empty": empty}
    monkeypatch.setattr(reader, "read_volume", lambda path: (arrays[Path(path).name], np.eye(4)))
    for names in (["one", "other", "empty"], ["empty", "empty"], ["other"]):
        image, _ = VolumeReader().get_data(tuple(names))
        assert (image.dtype, image.flags.c_contiguous) == (np.float32, True)
        expected = np.stack([arrays[name] for name in names])
        np.testing.assert_array_equal(image, expected if len(names) > 1 else expected[0])


def test_a_file_of_several_volumes_is_not_taken_for_its_first(
    monkeypatch: pytest.MonkeyPatch, voxels: np.ndarray
) -> None:
    several = np.stack([voxels, voxels + 1], axis=-1)
    monkeypatch.setattr(reader, "read_volume", lambda path: (several, np.eye(4)))
    with pytest.raises(UnreadableError, match="one volume"):
        VolumeReader().get_data(("x.nii.gz",))
    np.testing.assert_array_equal(VolumeReader().get_data(("x.nii.gz[1]",))[0], voxels + 1)
    monkeypatch.setattr(reader, "read_volume", lambda path: (voxels[..., None, None], np.eye(4)))
    np.testing.assert_array_equal(VolumeReader().get_data(("x.nii.gz",))[0], voxels)


def test_a_file_whose_checksum_is_wrong_is_refused_by_name(tmp_path: Path) -> None:
    """LoadImaged tries other readers where one fails, and nibabel's reads such a file."""
    files = write_case(tmp_path, "A")
    content = bytearray(files["t1"].read_bytes())
    content[-8] ^= 1  # of the CRC behind the voxels
    files["t1"].write_bytes(content)
    with pytest.raises(UnreadableError, match=r"A_t1.nii.gz is corrupt"):
        LoadImaged("image", reader=VolumeReader())({"image": [str(files["t1"])]})


def test_several_files_are_channels_and_volumes_of_a_4d_file_are_named(tmp_path: Path) -> None:
    arrays = volumes(0, (1, 2, 3))
    datalist = Datalist.load(write_msd(tmp_path / "msd"), modalities="t1-flair", fold="all")
    (item, *_) = items(datalist.train, ("t1", "flair"))
    assert [name.rpartition("[")[2] for name in item["image"]] == ["1]", "0]"]
    image = LoadImaged("image", reader=VolumeReader())(item)["image"]
    np.testing.assert_array_equal(image.numpy(), np.stack([arrays["t1"], arrays["flair"]]))


def test_a_mixture_of_formats_is_one_image(tmp_path: Path) -> None:
    files = write_case(tmp_path, "A")
    itk.imwrite(itk.imread(str(files["t2"])), str(tmp_path / "A_t2.nrrd"))
    image = LoadImaged("image", reader=VolumeReader())({"image": [str(files["t1"]), str(tmp_path / "A_t2.nrrd")]})
    np.testing.assert_array_equal(image["image"].numpy(), np.stack([volumes()["t1"], volumes()["t2"]]))


def test_files_on_different_grids_are_refused(tmp_path: Path) -> None:
    files = write_case(tmp_path, "A")
    nib.save(nib.Nifti1Image(volumes()["t2"], np.eye(4)), files["t2"])
    with pytest.raises(ValueError, match="A_t2"):
        LoadImaged("image", reader=VolumeReader())({"image": [str(files["t1"]), str(files["t2"])]})


@pytest.mark.parametrize(
    ("convention", "canonical"),
    [("brats2018", (1, 2, 0, 4)), ("brats2023", (1, 2, 4, 0)), ("brats2024", (1, 2, 4, 0)), ("msd", (2, 1, 4, 0))],
)
def test_labels_become_canonical(tmp_path: Path, convention: str, canonical: tuple[int, ...]) -> None:
    """1 core, 2 oedema, 4 enhancing; the resection cavity of 2024, 4, belongs to no region."""
    path = tmp_path / "seg.nii.gz"
    nib.save(nib.Nifti1Image(np.arange(5, dtype=np.uint8).reshape(5, 1, 1), np.eye(4)), path)
    label = LoadImaged("label", reader=VolumeReader(convention), dtype=np.uint8)({"label": str(path)})["label"]
    assert label.flatten().tolist() == [0, *canonical]
