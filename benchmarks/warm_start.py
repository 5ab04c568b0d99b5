"""What does the second run on the same data wait for? CACHE=disk, first and second, until every sample was seen once.

The contract: both deliver the same samples bit for bit; a student of another modality and the teacher add no file.
"""

from __future__ import annotations

import time
from pathlib import Path

import torch
from monai.data import Dataset

from kd_monai.data.entries import Entry
from question import Given, answer, contract
from row import Reach, Row, Side, faster
from same_voxels import cached, subjects


def run(entries: list[Entry], folder: Path) -> tuple[float, Dataset]:
    """Seconds until every sample was read once."""
    start = time.perf_counter()
    dataset = cached(entries, "disk", folder)
    for index in range(len(dataset)):
        dataset[index]
    return time.perf_counter() - start, dataset


def measure(given: Given) -> list[Row]:
    """Seconds of the first and of the second run."""
    entries = subjects(given, 8, 2)
    first, second, student = [], [], []
    plain = cached(entries)
    for number in range(given.pick(3, 1)):
        folder = given.work / f"cache{number}"
        cold, _ = run(entries, folder)
        files = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
        contract(len(files) == len(entries), "a file per subject", len(files))
        warm, read = run(entries, folder)
        other, _ = run(entries, folder)
        for index in range(len(entries)):
            same = all(torch.equal(plain[index][key], read[index][key]) for key in ("image", "label"))
            contract(same, "the second run delivers the samples that no cache holds", index)
        after = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
        contract(after == files, "teacher and student share one cache: no file is added or rewritten", len(after))
        first.append(cold), second.append(warm), student.append(other)
    start = time.perf_counter()
    size = sum(len(path.read_bytes()) for path in files)
    floor = f"reading the files' {size / 2**20:.0f} MiB from the page cache: {time.perf_counter() - start:.3f} s"
    common = {
        "reach": Reach("at least", 10),
        "contract": "same samples bit for bit; one cache, no file added by a second teacher or a student",
        "floor": floor,
        "size": given.size,
    }
    cold_side = Side.of("first run", "s", first)
    return [
        faster(
            "Warm start with CACHE=disk, the same run",
            Side.of("second run", "s", second),
            cold_side,
            (second, first),
            **common,
        ),
        faster(
            "Warm start with CACHE=disk, a student",
            Side.of("student", "s", student),
            cold_side,
            (student, first),
            **common,
        ),
    ]


if __name__ == "__main__":
    answer(measure)
