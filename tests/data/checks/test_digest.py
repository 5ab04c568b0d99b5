"""A data set is another one as soon as a voxel differs, and the same one wherever and whenever it was copied."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import zlib
from pathlib import Path

import itk
import nibabel as nib
import numpy as np
import pytest
from small_cases import SHAPE, save, volumes, write_brats

from kd_monai.data import Datalist, entries
from kd_monai.data.entries import Entry, bytes_digest, data_digest, file_signature, gzip_crc


def entry_of(path: Path, label: Path) -> Entry:
    return Entry(subject="A", patient="A", grade=None, image={"t1": str(path)}, label=str(label))


def changed(voxels: np.ndarray) -> np.ndarray:
    voxels = voxels.copy()
    voxels[4, 5, 3] = 1
    return voxels


@pytest.mark.parametrize("extension", [".nii", ".nii.gz", ".nrrd", ".mhd"])
def test_one_voxel_changes_the_digest_of_an_unchanged_size(tmp_path: Path, extension: str) -> None:
    image, label = save(tmp_path / "A_t1.nii", volumes()["t1"]), tmp_path / f"A_seg{extension}"
    digests = []
    for voxels in (volumes()["label"], changed(volumes()["label"]), volumes()["label"]):
        if extension == ".nii.gz":  # stored, not deflated: every content has one size
            content = nib.Nifti1Image(voxels, np.eye(4)).to_bytes()
            label.write_bytes(gzip.compress(content, compresslevel=0, mtime=0))
        else:
            itk.imwrite(itk.image_from_array(voxels), str(label))
        digests.append((file_signature(label)[0], data_digest([entry_of(image, label)])))
    first, other, again = digests
    assert first[0] == other[0]
    assert first[1] != other[1]
    assert first == again


def test_a_finished_run_does_not_count_for_corrected_labels(tmp_path: Path) -> None:
    data = write_brats(tmp_path / "data", 3)
    for path in data.rglob("*_seg.nii.gz"):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    memory = tmp_path / "checked.json"
    before = Datalist.load(data, remember=memory)
    path = next(data.rglob("*_seg.nii"))
    size = path.stat().st_size
    save(path, changed(np.asarray(nib.load(path).dataobj)))
    assert path.stat().st_size == size
    after = Datalist.load(data, remember=memory)
    assert after.digest != before.digest
    assert after.split_digest == before.split_digest


def test_neither_place_nor_time_matters(tmp_path: Path) -> None:
    data = write_brats(tmp_path / "data", 3)
    moved = Path(shutil.copytree(data, tmp_path / "elsewhere" / "moved", copy_function=shutil.copy))
    for path in moved.rglob("*.nii.gz"):
        os.utime(path, ns=(1, 1))
    assert Datalist.load(data).digest == Datalist.load(moved).digest


def test_a_dicom_folder_is_all_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "A_t1"
    folder.mkdir()
    for name, content in (("1.dcm", b"a" * 1000), ("2.dcm", b"b" * 1000)):
        (folder / name).write_bytes(content)
    expected = hashlib.sha256(b"a" * 1000 + b"b" * 1000).hexdigest()
    assert bytes_digest(folder) == expected
    (folder / ".DS_Store").write_bytes(b"what macOS leaves behind")
    assert bytes_digest(folder) == expected
    label = save(tmp_path / "A_seg.nii.gz", volumes()["label"])
    before = data_digest([entry_of(folder, label)])
    (folder / "2.dcm").write_bytes(b"c" * 1000)
    assert data_digest([entry_of(folder, label)]) != before


def test_a_gzip_file_tells_its_checksum_without_being_read(tmp_path: Path) -> None:
    path = save(tmp_path / "A_seg.nii.gz", volumes()["label"])
    assert gzip_crc(path) == zlib.crc32(gzip.decompress(path.read_bytes())).to_bytes(4, "little").hex()


def test_a_gzip_file_of_several_members_is_read_whole(tmp_path: Path) -> None:
    content = nib.Nifti1Image(volumes()["label"], np.eye(4)).to_bytes()
    path = tmp_path / "A_seg.nii.gz"
    path.write_bytes(gzip.compress(content) + gzip.compress(b""))  # as bgzip ends a file
    assert gzip_crc(path) is None


def test_a_modality_that_is_not_read_may_be_an_empty_file(tmp_path: Path) -> None:
    image, label = tmp_path / "A_t1.nii.gz", save(tmp_path / "A_seg.nii.gz", volumes()["label"])
    image.touch()
    assert data_digest([entry_of(image, label)])


def test_checksums_are_remembered_until_a_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image, label = save(tmp_path / "A_t1.nii", volumes()["t1"]), save(tmp_path / "A_seg.nii", volumes()["label"])
    memory, entry = tmp_path / "checked.json", entry_of(image, label)
    first = data_digest([entry], memory)
    read = []
    monkeypatch.setattr(entries, "bytes_digest", lambda path: read.append(path) or bytes_digest(path))
    assert data_digest([entry], memory) == first
    assert read == []
    save(label, changed(volumes()["label"]))
    assert data_digest([entry], memory) != first
    assert read == [label]


def test_voxels_beside_an_mhd_header_are_part_of_it(tmp_path: Path) -> None:
    path = tmp_path / "A_t1.mhd"
    itk.imwrite(itk.image_from_array(np.zeros(SHAPE, np.int16)), str(path))
    assert file_signature(path)[0] == path.stat().st_size + path.with_suffix(".raw").stat().st_size
