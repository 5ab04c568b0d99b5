"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

torch.set_num_threads(min(2, os.cpu_count() or 1))


@pytest.fixture(scope="session")
def real_cases() -> Path:
    """Folder of real BraTS 2018 cases named by KD_MONAI_BRATS; the test is skipped where it is not set."""
    folder = os.environ.get("KD_MONAI_BRATS")
    if not folder:
        pytest.skip("KD_MONAI_BRATS names no folder of real BraTS cases")
    path = Path(folder)
    if not path.is_dir():
        pytest.fail(
            f"KD_MONAI_BRATS must name a folder of real BraTS cases; got {folder}, which is none. Unset it or mend it."
        )
    return path
