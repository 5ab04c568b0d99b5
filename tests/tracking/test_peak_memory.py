"""The most memory that was needed since the last look."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from kd_monai.tracking.handlers import PeakMemory


def test_a_large_array_shows_and_is_not_forgotten_when_it_goes() -> None:
    memory = PeakMemory("cpu")
    memory.restart()
    before = memory.mib
    array = np.ones(200 * 2**20 // 8)
    del array
    assert 150 < memory.mib - before < 400


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux forgets")
def test_a_restart_forgets_it() -> None:
    memory = PeakMemory("cpu")
    array = np.ones(200 * 2**20 // 8)
    high = memory.mib
    del array
    memory.restart()
    assert memory.mib < high - 150
