"""The most memory that was needed since the last look."""

from __future__ import annotations

import mmap
import sys

import numpy as np
import pytest

from kd_monai.tracking.handlers import PeakMemory

SIZE = 200  # MiB


def hold_and_release() -> None:
    """Touch new pages. An array may get memory that the allocator has kept from an earlier test."""
    with mmap.mmap(-1, SIZE * 2**20) as block:
        np.frombuffer(block, np.uint8)[:] = 1


def test_a_large_block_shows_and_is_not_forgotten_when_it_goes() -> None:
    memory = PeakMemory("cpu")
    memory.restart()
    before = memory.mib
    hold_and_release()
    assert 0.9 * SIZE < memory.mib - before < 2 * SIZE


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux forgets")
def test_a_restart_forgets_it() -> None:
    memory = PeakMemory("cpu")
    memory.restart()
    hold_and_release()
    high = memory.mib
    memory.restart()
    assert memory.mib < high - 0.9 * SIZE
