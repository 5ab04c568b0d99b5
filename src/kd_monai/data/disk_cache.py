"""Cached samples in files that every run on the same data shares."""

import hashlib
import io
import json
import logging
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import monai
import torch
from monai.data import Dataset
from tqdm import tqdm

from kd_monai.atomic import write_bytes
from kd_monai.data.cached_transforms import CachedTransforms
from kd_monai.data.found import Entry, file_signature

logger = logging.getLogger(__name__)

FORMAT = 1
"""Raise it when a cached sample changes its form."""
_CHECKSUM_BYTES = 4


class DiskCache(Dataset):
    """A file per subject and setting, named by the hash of what it was made from; MONAI's PersistentDataset otherwise.

    That class raises on a truncated file, cannot see a changed voxel, keeps no metadata by default, hashes paths but
    not contents, and empties the folder in ``set_data``.
    """

    def __init__(self, data: Sequence[Entry], transform: CachedTransforms, folder: Path) -> None:
        super().__init__(data, transform)
        self.folder = folder
        self.settings = {**transform.settings, "format": FORMAT, "monai": monai.__version__}

    def path(self, index: int) -> Path:
        """File of a sample: its name follows from path, size and time of its sources and from the settings."""
        entry = self.data[index]
        modalities = self.settings["modalities"]
        sources = [entry["image"][modality] for modality in modalities]
        if self.settings["with_label"]:
            sources.append(entry["label"])
        made_from = {
            "subject": entry["subject"],
            "files": [(os.path.realpath(source), *file_signature(source)) for source in sources],
            "channels": [entry.get("channels", {}).get(modality) for modality in modalities],
            "settings": self.settings,
        }
        name = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:32]
        return self.folder / f"{name}.pt"

    def _read(self, path: Path) -> dict[str, Any] | None:
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        checksum, body = content[:_CHECKSUM_BYTES], content[_CHECKSUM_BYTES:]
        # torch.load would take a changed voxel without a word
        if zlib.crc32(body).to_bytes(_CHECKSUM_BYTES, "big") != checksum:
            logger.warning("%s is damaged; it is built again", path)
            return None
        return torch.load(io.BytesIO(body), weights_only=True)

    def _transform(self, index: int) -> dict[str, Any]:
        path = self.path(index)
        sample = self._read(path)
        if sample is None:
            sample = self.transform(self.data[index])
            body = io.BytesIO()
            torch.save(sample, body)
            checksum = zlib.crc32(body.getbuffer()).to_bytes(_CHECKSUM_BYTES, "big")
            write_bytes(path, checksum + body.getvalue())
        return sample

    def build(self) -> int:
        """Write the samples that are not there yet; returns the bytes of all."""
        missing = [index for index in range(len(self)) if not self.path(index).is_file()]
        for index in tqdm(missing, desc="Writing cache", disable=idist.get_rank() > 0):
            self._transform(index)
        return sum(self.path(index).stat().st_size for index in range(len(self)))
