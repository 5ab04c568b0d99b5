"""Fixtures of the tests of studies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kd_monai.training import roles


@pytest.fixture
def line(phantom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A command's data; what trains fails."""

    def train(*_: Any) -> None:
        raise AssertionError("something was trained")

    monkeypatch.setattr(roles, "train", train)
    return ["--data", str(phantom), "--out", str(tmp_path)]
