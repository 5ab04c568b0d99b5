from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from kd_monai.atomic import replacing, write_bytes, write_json


def test_an_interrupted_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_bytes(path, b"old")

    def interrupted() -> None:
        with replacing(path) as file:
            file.write(b"half a new one")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_seen_before_all_is_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    with replacing(path) as file:
        file.write(b"all")
        assert not path.exists()
    assert path.read_bytes() == b"all"


def test_others_may_read_what_is_written(tmp_path: Path) -> None:
    write_json(tmp_path / "file.json", {"a": [1, None]})
    assert json.loads((tmp_path / "file.json").read_text()) == {"a": [1, None]}
    assert stat.S_IMODE((tmp_path / "file.json").stat().st_mode) == 0o644
