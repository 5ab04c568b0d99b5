"""The bundles' YAML: which file an overlay's name means, and how overlays stack behind ``train.yaml``."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from monai.bundle import ConfigParser
from monai.bundle.utils import merge_kv

import kd_monai
from kd_monai.config.variables import nearest
from kd_monai.errors import UserError

BUNDLES = (Path(kd_monai.__file__).parent / "bundles").resolve()
"""Package data: a link to the checkout's ``bundles/``, a copy in a wheel."""
TEACHER = BUNDLES / "brats_multimodal_teacher"
STUDENT = BUNDLES / "brats_monomodal_student"
SHARED = BUNDLES / "shared"
REPLACED = ("terms", "taps")
"""Sections that an overlay states whole: a method's terms are its terms, not additions to those of another."""


def train_files(bundle: Path) -> list[Path]:
    """What every training of a bundle stacks, overlays apart."""
    return [SHARED / "preprocessing.yaml", SHARED / "train.yaml", bundle / "configs" / "train.yaml"]


def inference_files(bundle: Path) -> list[Path]:
    """What predicts: the one file of an exported bundle, or of a bundle here what an export joins."""
    file = bundle / "configs" / "inference.yaml"
    return (
        [file] if (bundle / "scripts").is_dir() else [SHARED / "preprocessing.yaml", SHARED / "prediction.yaml", file]
    )


@contextmanager
def bundle_scripts(folder: Path) -> Iterator[None]:
    """Let ``scripts`` be those of this folder meanwhile: MONAI does so in `run` alone, and for one bundle a process."""
    _forget_scripts()
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        _forget_scripts()


def _forget_scripts() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "scripts"]:
        del sys.modules[name]


def overlay(bundle: Path, kind: str, name: str) -> Path:
    """The file of an overlay: a path to a YAML of the user's, or one of the bundle's or the shared ones by name.

    The folder of a user's file comes onto Python's path, so that its `_target_` may name a module beside it.

    Args:
        bundle: the bundle's folder.
        kind: recipe, network or method.
        name: as it was typed.

    Raises:
        UserError: there is none of this name.
    """
    if name.endswith((".yaml", ".yml")):
        path = Path(name).expanduser().absolute()
        if not path.is_file():
            raise UserError(f"{kind.upper()} names a file; {path} does not exist. Correct it.")
        if str(path.parent) not in sys.path:
            sys.path.append(str(path.parent))
        return path
    folders = (bundle / "configs" / f"{kind}s", SHARED / f"{kind}s")
    files = {file.stem: file for folder in folders for file in folder.glob("*.yaml")}
    if name not in files:
        raise UserError(
            f"{kind.upper()} must be one of {', '.join(sorted(files))}, or the path of a YAML file; got {name!r}"
            f"{nearest(name, sorted(files))}"
        )
    return files[name]


def stacked(files: Sequence[Path]) -> dict[str, Any]:
    """The content of the files, each once read and merged into those before it.

    A section (a mapping without `_target_`) merges with the section of its name; any other value replaces what was
    there. `REPLACED` sections and components are replaced whole. ``a#b: value`` and ``+a: value`` are MONAI's own.

    Raises:
        UserError: a file is no mapping, gives a component no `_target_`, or has an id that nothing reads.
    """
    parser = ConfigParser(config={})
    for file in files:
        content = _content(file)
        known = sorted(parser.get() or {})
        strangers: list[str] = []
        # shipped files are tested, and what a run was trained with is not to be judged again
        if known and not file.resolve().is_relative_to(BUNDLES) and not (file.parent / "run.json").is_file():
            strangers = [name for key, value in content.items() for name in _strangers(parser.get(), key, value)]
        for key, value in content.items():
            _merge(parser, key, value, file)
        _check_read(strangers, parser.get(), known, file)
    return dict(parser.get())


def lookup(config: Any, name: str) -> Any:
    """What a configuration has at an id, or None. (`in` of MONAI's parser looks for similar names, slowly.)"""
    for part in re.split("#|::", name):
        if isinstance(config, Mapping) and part in config:
            config = config[part]
        elif isinstance(config, list) and part.isdecimal() and int(part) < len(config):
            config = config[int(part)]
        else:
            return None
    return config


def _content(file: Path) -> dict[str, Any]:
    try:
        content = ConfigParser.load_config_file(file)
    except yaml.YAMLError as error:
        raise UserError(f"{file} must be YAML: {error}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UserError(f"{file} must hold ids and values; got {type(content).__name__}. Write it like epochs: 20.")
    return content


def in_component(config: Any, name: str) -> bool:
    """Whether an id lies in a component, which takes any argument."""
    parts = re.split("#|::", name)
    above = [lookup(config, "#".join(parts[:depth])) for depth in range(1, len(parts))]
    return any(isinstance(holder, Mapping) and "_target_" in holder for holder in above)


def _strangers(config: Mapping[str, Any], key: str, value: Any) -> list[str]:
    """Ids, with #, that a file adds at the top or to a section."""
    name = key.lstrip("+").replace("::", "#")
    above, _, last = name.rpartition("#")
    holder = lookup(config, above) if above else config
    if name.partition("#")[0] in REPLACED or isinstance(holder, list) or in_component(config, name):
        return []
    if not isinstance(holder, Mapping) or last not in holder:
        return [name]
    present = holder[last]
    sections = isinstance(value, Mapping) and isinstance(present, Mapping) and "_target_" not in {*value, *present}
    return [new for inner in value for new in _strangers(config, f"{name}#{inner}", value[inner])] if sections else []


def _merge(parser: ConfigParser, key: str, value: Any, file: Path) -> None:
    present = lookup(parser.get(), key)
    if isinstance(value, dict) and isinstance(present, dict) and not key.startswith("+"):
        if "_target_" in present and "_target_" not in value:
            raise UserError(
                f"{file}: {key} is the component {present['_target_']}. Name its `_target_` to replace it, or write "
                f"{key}#{next(iter(value), 'argument')}: ... to change one argument."
            )
        if "_target_" not in present and "_target_" not in value and key not in REPLACED:
            for name, inner in value.items():
                _merge(parser, f"{key}::{name}", inner, file)
            return
    merge_kv(parser, key, value)


def _check_read(strangers: Sequence[str], config: Mapping[str, Any], known: Sequence[str], file: Path) -> None:
    """Something refers to a new id, or to what holds it; any other is misspelt, and would change nothing."""
    text = yaml.safe_dump(dict(config), default_flow_style=False) if strangers else ""
    for name in strangers:
        parts = name.split("#")
        readable = ["(?:#|::)".join(map(re.escape, parts[:depth])) for depth in range(1, len(parts) + 1)]
        if not re.search(rf"[@%](?:{readable[-1]}\b|(?:{'|'.join(readable)})(?![\w#:]))", text):
            above, _, last = name.rpartition("#")
            holder = lookup(config, above) if above else dict.fromkeys(known)
            siblings = [key for key in holder if key != last] if isinstance(holder, Mapping) else []
            raise UserError(f"{file}: nothing reads the id {name!r}{nearest(last, siblings)} Correct or remove it.")
