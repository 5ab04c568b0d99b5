"""What the shipped YAML builds, by name."""

from __future__ import annotations

from typing import Any

from monai.bundle import ConfigParser
from monai.transforms import Compose

from kd_monai.config.overlays import SHARED, STUDENT, bundle_scripts, inference_files, train_files


def shipped(name: str, **overrides: Any) -> Any:
    """A part of the student's training; overrides are ``id=value``, with ``__`` for ``#``."""
    parser = ConfigParser(ConfigParser.load_config_files(train_files(STUDENT)))
    parser.update({key.replace("__", "#"): value for key, value in overrides.items()})
    with bundle_scripts(SHARED):
        return parser.get_parsed_content(name)


def cached_transforms(
    convention: str = "brats2018", spacing_mm: float | None = None, n4: bool = False, half: bool = True
) -> Compose:
    """From an item to a sample as it is cached; not `half`: in float32, as it is scored."""
    more = {} if half else {"cached_transforms__transforms__5___disabled_": True}
    spacing = [float(spacing_mm)] * 3 if spacing_mm else None
    transforms: Compose = shipped(
        "cached_transforms", spacing_mm=spacing, n4=n4, label_reader__convention=convention, **more
    )
    return transforms


def inference(bundle: Any = STUDENT, **overrides: Any) -> ConfigParser:
    """The parser of a bundle's inference."""
    parser = ConfigParser(ConfigParser.load_config_files(inference_files(bundle)))
    parser.update(overrides)
    return parser
