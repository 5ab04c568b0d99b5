"""Tests that are named elsewhere must exist."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parents[1]


@cache
def _functions(file: str) -> frozenset[str]:
    path = TESTS / file
    if not path.is_file():
        return frozenset()
    return frozenset(node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef))


def missing(names: Iterable[str]) -> list[str]:
    """Those of the names ``folder/test_file.py::test_name`` that no test has."""
    return [name for name in names if name.partition("::")[2] not in _functions(name.partition("::")[0])]
