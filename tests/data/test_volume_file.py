"""A cached volume comes back from its file as it was, or not at all."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from kd_monai.data.cropped_volume import CroppedVolume
from kd_monai.data.volume_file import read_volume_file, write_volume_file


def volume(dtype: torch.dtype, shape: tuple[int, ...] = (3, 4, 5)) -> CroppedVolume:
    """Of random voxels, with metadata of the kinds that MONAI traces."""
    voxels = (torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 100).to(dtype)
    box = ((1, 2, 3), tuple(first + side for first, side in zip((1, 2, 3), shape, strict=True)))
    meta = {"affine": torch.eye(4, dtype=torch.float64), "space": "RAS", "original_channel_dim": float("nan")}
    return CroppedVolume(voxels, box, box, (9, 9, 9), meta, [{"class": "Orientation", "orig_size": (9, 9, 9)}])


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.uint8])
def test_every_kind_of_voxel_comes_back(dtype: torch.dtype, tmp_path: Path) -> None:
    written = volume(dtype)
    write_volume_file(tmp_path / "a.volume", written)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # torch's, of memory that may not be written to
        read = read_volume_file(tmp_path / "a.volume")
    assert read is not None
    torch.testing.assert_close(read.voxels, written.voxels, rtol=0, atol=0)
    assert read.voxels.data_ptr() % 16 == 0
    assert (read.box, read.foreground, read.shape) == (written.box, written.foreground, written.shape)
    assert read.operations == written.operations
    assert read.meta.keys() == written.meta.keys()
    torch.testing.assert_close(read.meta["affine"], written.meta["affine"], rtol=0, atol=0)
    read.voxels.zero_()  # it is the reader's own


def test_voxels_of_a_view_are_written_in_their_order(tmp_path: Path) -> None:
    written = volume(torch.float32)
    turned = written._replace(voxels=written.voxels.permute(2, 0, 1))
    write_volume_file(tmp_path / "a.volume", turned)
    read = read_volume_file(tmp_path / "a.volume")
    assert read is not None
    torch.testing.assert_close(read.voxels, turned.voxels, rtol=0, atol=0)


def test_an_empty_label_comes_back(tmp_path: Path) -> None:
    write_volume_file(tmp_path / "a.volume", volume(torch.uint8, (0, 0, 0)))
    read = read_volume_file(tmp_path / "a.volume")
    assert read is not None
    assert read.voxels.shape == (0, 0, 0)


def test_any_changed_byte_and_any_lost_end_is_noticed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "a.volume"
    write_volume_file(path, volume(torch.uint8, (2, 2, 2)))
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for place in [0, 3, 4, 7, 8, len(whole) - 1, *rng.integers(len(whole), size=50)]:
        changed = bytearray(whole)
        changed[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(changed))
        assert read_volume_file(path) is None, place
    for size in [0, 3, 7, 8, len(whole) // 2, len(whole) - 1]:
        path.write_bytes(whole[:size])
        assert read_volume_file(path) is None, size
    assert len(caplog.records) == 6 + 50 + 6
    assert all("damaged" in record.getMessage() for record in caplog.records)


def test_a_file_of_another_form_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as later:
        later.setattr("kd_monai.data.volume_file.FORM", 0)
        write_volume_file(tmp_path / "a.volume", volume(torch.uint8))
    assert read_volume_file(tmp_path / "a.volume") is None


def test_a_file_that_is_not_there_is_no_damage(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert read_volume_file(tmp_path / "a.volume") is None
    assert not caplog.records
