"""Cached volumes in files that every run on the same data shares."""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import monai
from monai.data import Dataset

from kd_monai.data.build import build
from kd_monai.data.cached import CachedTransforms, Source
from kd_monai.data.cropped_volume import CroppedVolume
from kd_monai.data.entries import Entry, file_signature
from kd_monai.data.volume_file import FORM, read_volume_file, write_volume_file


class DiskCache(Dataset):
    """A file per source (a modality or label of a subject) and setting, named by the hash of what it was made from.

    Runs that read other modalities, or crop the brain by others, put their samples together from the same files.
    MONAI's PersistentDataset raises on a truncated file, cannot see a changed voxel, keeps no metadata by default,
    hashes paths but not contents, and empties the folder in ``set_data``.
    """

    def __init__(
        self, data: Sequence[Entry], transform: CachedTransforms, folder: Path, workers: int | None = None
    ) -> None:
        super().__init__(data, transform)
        self.folder = folder
        self.workers = workers

    def path(self, source: Source) -> Path:
        """File of a volume: its name follows from path, size and time of its source and from what was done to it."""
        made_from = {
            "file": (os.path.realpath(source.path), *file_signature(source.path)),
            "channel": source.channel,
            "kind": "label" if source.kind == "label" else "image",
            "settings": {**self.transform.volume_settings(source), "format": FORM, "monai": monai.__version__},
        }
        name = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:32]
        return self.folder / f"{name}.volume"

    def _write(self, transform: CachedTransforms, sources: Sequence[Source]) -> dict[Source, CroppedVolume]:
        volumes = transform.volumes(sources)
        for source, volume in volumes.items():
            write_volume_file(self.path(source), volume)
        return volumes

    def _transform(self, index: int) -> dict[str, Any]:
        sources = self.transform.sources(self.data[index])
        volumes = {source: read_volume_file(self.path(source)) for source in sources}
        missing = [source for source, volume in volumes.items() if volume is None]
        volumes.update(self._write(self.transform, missing))
        return self.transform.assemble(self.data[index]["subject"], sources, [volumes[source] for source in sources])

    def build(self) -> int:
        """Write the volumes that are not there yet; returns the bytes of all."""
        files = {source: self.path(source) for entry in self.data for source in self.transform.sources(entry)}
        missing: dict[str, list[Source]] = {}
        for source, path in files.items():
            if not path.is_file():
                missing.setdefault(source.path, []).append(source)  # channels of one file are read together
        for _ in build(self.transform, list(missing.values()), self._write_only, self.workers):
            pass
        return sum(path.stat().st_size for path in files.values())

    def _write_only(self, transform: CachedTransforms, sources: Sequence[Source]) -> None:
        self._write(transform, sources)
