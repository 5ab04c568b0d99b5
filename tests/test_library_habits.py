"""The library neither prints nor asserts: it returns, logs and raises."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src" / "kd_monai"
FILES = sorted([*SRC.rglob("*.py"), *(ROOT / "pipelines").glob("*.py")])


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_neither_prints_nor_asserts(path: Path) -> None:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    calls = {node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not [node.lineno for node in nodes if isinstance(node, ast.Assert)]
    assert not (path.is_relative_to(SRC) and calls & {"print", "pprint"})
