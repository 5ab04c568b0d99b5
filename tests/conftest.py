"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from warm_python import WarmPython

from kd_monai.phantom import write_phantom

torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or min(2, os.cpu_count() or 1)))

LONGEST = ("test_readme.py", "test_benchmarks.py", "test_shipped_yaml.py", "test_bundle_run.py", "test_study.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take minutes come first: of several processes, none waits at the end for another's."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


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


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight phantom subjects at 2 mm: three folds leave four to train on and one to validate with."""
    own = tmp_path_factory.getbasetemp()
    # the first of several processes writes it for all
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "phantom"
    return write_phantom(folder, 8, spacing_mm=2, seed=0, progress=False)


@pytest.fixture(scope="session")
def warm_python() -> Iterator[WarmPython]:
    """Where a test is not about how a process begins, a fork of this one saves ten seconds."""
    made = WarmPython()
    yield made
    made.stop()
