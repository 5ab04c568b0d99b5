"""Configuration files, parsed once: a command asks a dozen of them for this and that some sixty times."""

from __future__ import annotations

import copy
from functools import lru_cache
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser
from monai.config import PathLike


class ConfigFiles(ConfigParser):
    """MONAI's parser, whose loaders parse a file again only when it has changed.

    PyYAML takes 25 ms for a ``train.yaml``, a copy of what it found 1 ms.
    """

    @classmethod
    def load_config_file(cls, filepath: PathLike, **kwargs: Any) -> dict:
        """The content of one file, the caller's own; see `ConfigParser.load_config_file`."""
        if kwargs or not filepath:
            return ConfigParser.load_config_file(filepath, **kwargs)
        status = Path(filepath).stat()
        key = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        return copy.deepcopy(_parsed(str(filepath), key))


@lru_cache(maxsize=256)
def _parsed(path: str, _: tuple[int, ...]) -> dict:
    return ConfigParser.load_config_file(path)
