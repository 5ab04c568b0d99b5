"""Configuration files, parsed once: a command asks a dozen of them for this and that some sixty times."""

from __future__ import annotations

import copy
from functools import lru_cache
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser
from monai.config import PathLike


class ConfigFiles(ConfigParser):
    """MONAI's parser, whose loaders parse a content once; MONAI's own workflows parse for themselves.

    PyYAML takes 25 ms for a ``train.yaml``, a copy of what it found 1 ms. Of a key that stands twice it warns once.
    """

    @classmethod
    def load_config_file(cls, filepath: PathLike, **kwargs: Any) -> dict:
        """The content of one file, the caller's own; see `ConfigParser.load_config_file`."""
        if kwargs or not filepath:
            return ConfigParser.load_config_file(filepath, **kwargs)
        return copy.deepcopy(_parsed(str(filepath), Path(filepath).read_bytes()))


@lru_cache(maxsize=256)
def _parsed(path: str, _: bytes) -> dict:
    return ConfigParser.load_config_file(path)
