"""One volume, in every format."""

from __future__ import annotations

from pathlib import Path

import itk
import nibabel as nib
import numpy as np
import pytest

from kd_monai.data.volume import UnreadableError, read_grid, read_volume

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
    shape, spacing_mm = read_grid(path)
    assert shape == voxels.shape
    np.testing.assert_allclose(spacing_mm, SPACING_MM, atol=1e-5)


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
