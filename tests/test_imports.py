"""Who may import whom: pipelines everything, study everything but pipelines, and so on down to brats."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src" / "kd_monai"
FILES = sorted([*SRC.rglob("*.py"), *(ROOT / "pipelines").glob("*.py")])

BASE = {"atomic", "brats", "outputs", "phases"}
MIDDLE = {"metrics", "losses", "networks", "data"}
MAY_IMPORT = {
    "pipelines": BASE | MIDDLE | {"handlers", "tracking", "inferers", "study"},
    "study": BASE | MIDDLE | {"handlers", "tracking", "inferers"},
    **dict.fromkeys(("handlers", "tracking", "inferers"), BASE | MIDDLE - {"data"}),
    **dict.fromkeys(MIDDLE, BASE),
    "atomic": set(),
    "brats": set(),
    "outputs": set(),
    "phases": set(),
    "__init__": set(),
}


def part_of(path: Path) -> str:
    """The part of the house a file belongs to: pipelines, or the first name below kd_monai."""
    if path.is_relative_to(SRC):
        return path.relative_to(SRC).parts[0].removesuffix(".py")
    return "pipelines"


def imported(source: str, package: str) -> Iterator[str]:
    """Full names of all modules a source imports, wherever in the file; `package` is that of the file."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*parents, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in ("import_module", "__import__", "optional_import") and isinstance(node.args[0].value, str):
                yield node.args[0].value


def package_of(path: Path) -> str:
    return ".".join(path.parent.relative_to(ROOT / "src" if path.is_relative_to(SRC) else ROOT).parts)


def imports_of(path: Path) -> set[str]:
    return set(imported(path.read_text(), package_of(path)))


def parts_imported(path: Path) -> set[str]:
    """Parts of kd_monai that a file imports, its own left out."""
    names = {name.split(".")[1] for name in imports_of(path) if name.startswith("kd_monai.")}
    return names - {part_of(path)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_imports_what_its_part_may(path: Path) -> None:
    part = part_of(path)
    assert part in MAY_IMPORT, f"{part} is new in the house: say in DESIGN and here what it may import"
    forbidden = parts_imported(path) - MAY_IMPORT[part]
    assert not forbidden, f"{part} may import {sorted(MAY_IMPORT[part])}; {path} imports {sorted(forbidden)}"
    assert not any(name == "pipelines" or name.startswith("pipelines.") for name in imports_of(path))


def test_brats_imports_the_standard_library_and_outputs_torch_alone() -> None:
    assert {name.split(".")[0] for name in imports_of(SRC / "brats.py")} <= {"collections", "dataclasses"}
    assert {name.split(".")[0] for name in imports_of(SRC / "outputs.py")} - {"__future__"} == {
        "dataclasses",
        "typing",
        "torch",
    }


def test_tracking_alone_imports_mlflow() -> None:
    importing = {part_of(path) for path in FILES if any(name.split(".")[0] == "mlflow" for name in imports_of(path))}
    assert importing == {"tracking"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_library_neither_prints_nor_asserts(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert not [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    if path.is_relative_to(SRC):
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
        assert not [node.lineno for node in calls if node.func.id in ("print", "pprint")]  # type: ignore[attr-defined]


def test_the_reader_of_imports_sees_every_kind() -> None:
    source = """
import kd_monai.training.launch as launch
from kd_monai import losses
def late():
    from .taps import FeatureTaps
    from ..tracking import Tracker
    import_module("mlflow")
"""
    assert set(imported(source, "kd_monai.networks")) == {
        "kd_monai.training.launch",
        "kd_monai.losses",
        "kd_monai.networks.taps.FeatureTaps",
        "kd_monai.tracking.Tracker",
        "mlflow",
    }


def test_pipelines_are_at_most_60_lines() -> None:
    lengths = {path.name: len(path.read_text().splitlines()) for path in (ROOT / "pipelines").glob("*.py")}
    assert {name: n for name, n in lengths.items() if n > 60} == {}
