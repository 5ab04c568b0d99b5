"""Does a larger data set cost more than its share? 8 to 64 subjects with CACHE=disk: time a case and resident memory.

Subjects are the given 2 mm ones, rolled by some voxels: every one has its own files and contents. A run builds the
cache and reads every sample once. The contract: as many files and samples as subjects.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import nibabel as nib
import numpy as np

from kd_monai.brats import MODALITIES
from kd_monai.data import cache_dataset, cached_transforms
from kd_monai.data.found import Entry
from question import Given, answer, contract
from row import Reach, Row, Side, costlier
from same_voxels import subjects


def rolled(entry: Entry, folder: Path, shift: int) -> Entry:
    """A copy of a subject, moved by some voxels along the first axis."""
    folder.mkdir(parents=True)
    paths = {}
    for kind, path in {**entry["image"], "label": entry["label"]}.items():
        image = nib.load(path)
        voxels = np.roll(np.asarray(image.dataobj), shift, axis=0)
        paths[kind] = str(folder / f"{kind}.nii.gz")
        nib.save(nib.Nifti1Image(voxels, image.affine, image.header), paths[kind])
    label = paths.pop("label")
    return Entry(subject=folder.name, patient=folder.name, grade=None, image=paths, label=label)


def resident_mib() -> float:
    """Memory of this process; 0 where there is no /proc."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20 if statm.is_file() else 0.0


def measure(given: Given) -> list[Row]:
    """Seconds a case and MiB, few subjects against many."""
    given_subjects = subjects(given, 8, 2, small=True)
    few, many = given.pick(8, 2), given.pick(64, 4)
    entries = [
        rolled(
            given_subjects[number % len(given_subjects)], given.work / f"s{number:02}", number // len(given_subjects)
        )
        for number in range(many)
    ]
    transform = cached_transforms(MODALITIES)
    seconds: dict[int, list[float]] = {}
    memory: dict[int, list[float]] = {}
    counts = [few * 2**step for step in range((many // few).bit_length())]
    for attempt in range(given.pick(3, 1) + 1):
        for count in counts:
            start = time.perf_counter()
            folder = given.work / f"cache-{attempt}-{count}"
            dataset = cache_dataset(entries[:count], transform, "disk", folder)
            sums = {float(dataset[index]["image"].as_tensor().float().sum()) for index in range(count)}
            took = (time.perf_counter() - start) / count
            contract(len(list(folder.iterdir())) == 5 * count, "five files a subject", count)
            contract(len(dataset) == count, "as many samples as subjects", len(dataset))
            if attempt:  # the first warms the allocator
                seconds.setdefault(count, []).append(took)
                memory.setdefault(count, []).append(resident_mib())
    del sums
    table = ", ".join(
        f"{count}: {np.median(seconds[count]):.3f} s, {np.median(memory[count]):.0f} MiB" for count in counts
    )
    common = {"reach": Reach("at most", 1.1), "contract": "own files and one sample a subject", "size": given.size}
    return [
        costlier(
            f"Growth from {few} to {many} subjects: time a case", Side.of(f"{many} subjects", "s/case", seconds[many]),
            Side.of(f"{few} subjects", "s/case", seconds[few]), (seconds[many], seconds[few]), floor=table, **common,
        ),
        costlier(
            f"Growth from {few} to {many} subjects: resident memory", Side.of(f"{many} subjects", "MiB", memory[many]),
            Side.of(f"{few} subjects", "MiB", memory[few]), (memory[many], memory[few]), floor=table, **common,
        ),
    ]  # fmt: skip


if __name__ == "__main__":
    answer(measure)
