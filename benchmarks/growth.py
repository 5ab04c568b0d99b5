"""Does a larger data set cost more than its share? 8 to 64 subjects with CACHE=disk: time a case and peak memory.

Subjects are the given 2 mm ones, rolled by some voxels: every one has its own files and contents. Each run is a process
of its own, few and many subjects in turn: it builds a cache and reads every sample once, and its peak is that of this
process alone. The contract: every modality and label of every subject is written to the cache exactly once, and by
nobody else's content: samples of different subjects differ, and a subject's sample is the same in every run, equal bit
for bit to the one that no cache ever held.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from kd_monai.data import cache_dataset
from kd_monai.data.entries import Entry
from kd_monai.task import MODALITIES
from kd_monai.tracking.peak_memory import PeakMemory
from question import Given, answer, contract, in_turn
from row import Reach, Row, Side, costlier
from same_voxels import subjects

MIB = 2**20


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


def digest(sample: Mapping[str, Any]) -> str:
    """SHA-256 of voxels and place: the crop undoes a shift, which then shows in the affine alone."""
    parts = [sample["image"].as_tensor(), sample["label"].as_tensor(), sample["image"].affine]
    return hashlib.sha256(b"".join(part.contiguous().numpy().tobytes() for part in parts)).hexdigest()


def build(entries: list[Entry], folder: Path) -> dict[str, Any]:
    """What a process does, and what it took."""
    transform = cached_transforms(MODALITIES)
    cache_dataset(entries[:1], transform, "disk", f"{folder}-first")[0]  # what only the first sample costs
    written: list[str] = []
    write = disk_cache.write_volume_file

    def noted(path: Path, volume: CroppedVolume) -> None:
        written.append(path.name)
        write(path, volume)

    disk_cache.write_volume_file = noted
    memory = PeakMemory("cpu")
    one_mib = memory.mib
    start = time.perf_counter()
    dataset = cache_dataset(entries, transform, "disk", folder)
    for index in range(len(dataset)):
        dataset[index]
    seconds, peak_mib = time.perf_counter() - start, memory.mib
    told = {"s/case": seconds / len(entries), "MiB": peak_mib, "MiB of one": one_mib}
    files = [file.name for file in folder.iterdir()]
    digests = {entry["subject"]: digest(dataset[index]) for index, entry in enumerate(entries)}
    return {**told, "written": sorted(written), "files": sorted(files), "digests": digests}


class Runs:
    """Processes that cache the first of the subjects, and what each of them told."""

    def __init__(self, given: Given, entries: list[Entry], few: int) -> None:
        self._entries, self._few, self._folder = entries, few, given.work / "cache"
        # tiny: forks begin with what this process has imported, and with its memory
        self._context = get_context("fork" if given.tiny else "spawn")
        self._known: dict[str, str] = {}
        self.told: dict[int, list[dict[str, Any]]] = {}

    def __call__(self, count: int) -> float:
        """Seconds a case of one more process.

        Raises:
            ContractError: the cache is not what it should be.
        """
        with ProcessPoolExecutor(1, mp_context=self._context) as pool:
            told = pool.submit(build, self._entries[:count], self._folder).result()
        for folder in (self._folder, f"{self._folder}-first"):
            shutil.rmtree(folder)
        self._check(count, told)
        self.told.setdefault(count, []).append(told)
        return told["s/case"]

    def _check(self, count: int, told: dict[str, Any]) -> None:
        files, digests = told["files"], told["digests"]
        sources = (len(MODALITIES) + 1) * count
        contract(len(files) == sources, f"a file for every modality and label, {sources}", len(files))
        others = sorted(set(told["written"]) ^ set(files)) or len(told["written"])
        contract(told["written"] == files, "each is written exactly once", others)
        contract(len(set(digests.values())) == count, f"{count} subjects' samples differ", len(set(digests.values())))
        self._same(digests, "a subject's sample is the same however many there are")

    def _same(self, digests: dict[str, str], rule: str) -> None:
        others = [name for name, one in digests.items() if self._known.setdefault(name, one) != one]
        contract(not others, rule, others)

    def uncached_mib(self) -> float:
        """Of a sample of the few, made without a cache; last, since a process is not to be forked after it.

        Raises:
            ContractError: a cached sample is another one.
        """
        transform = cached_transforms(MODALITIES)
        samples = [transform(entry) for entry in self._entries[: self._few]]
        self._same({sample["subject"]: digest(sample) for sample in samples}, "a cached sample is that of no cache")
        return sum(sample[key].nbytes for sample in samples for key in ("image", "label")) / len(samples) / MIB

    def figures(self, count: int, unit: str) -> list[float]:
        """Of all processes that cached so many."""
        return [told[unit] for told in self.told[count]]


def measure(given: Given) -> list[Row]:
    """Seconds a case and MiB at the most, few subjects against many."""
    sources = subjects(given, 8, 2, small=True)
    few, many = given.pick(8, 2), given.pick(64, 4)
    entries = [
        rolled(sources[number % len(sources)], given.work / f"s{number:02}", number // len(sources))
        for number in range(many)
    ]
    runs = Runs(given, entries, few)
    in_turn(lambda: runs(many), lambda: runs(few), rounds=given.pick(3, 1))
    between = [few * 2**step for step in range(1, (many // few).bit_length() - 1)]
    for count in between:
        runs(count)
    sample_mib = runs.uncached_mib()
    table = ", ".join(
        f"{count}: {np.median(runs.figures(count, 's/case')):.3f} s, {np.median(runs.figures(count, 'MiB')):.0f} MiB"
        for count in [few, *between, many]
    )
    one = np.median([mib for count in runs.told for mib in runs.figures(count, "MiB of one")])
    common = {
        "reach": Reach("at most", 1.1),
        "contract": "a process each; every file written exactly once; a subject's sample equal bit for bit in all runs "
        "and without a cache",
        "size": given.size,
    }
    return [
        costlier(
            f"Growth from {few} to {many} subjects: {what}",
            Side.of(f"{many} subjects", unit, runs.figures(many, unit)),
            Side.of(f"{few} subjects", unit, runs.figures(few, unit)),
            (runs.figures(many, unit), runs.figures(few, unit)),
            floor=floor,
            **common,
        )
        for what, unit, floor in (
            ("time a case", "s/case", table),
            (
                "peak memory of the process",
                "MiB",
                f"{table}; a process that cached one: {one:.0f} MiB; {many} samples held in memory would take "
                f"{sample_mib * many:.0f} MiB",
            ),
        )
    ]


if __name__ == "__main__":
    answer(measure)
