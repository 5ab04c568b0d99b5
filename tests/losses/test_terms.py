"""A term is a new file and nothing else: YAML names it by its full path, and no other file lists it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from terms import FOLDER, all_terms

ROOT = Path(__file__).parents[2]
NAMED = {
    target
    for file in (ROOT / "bundles").rglob("*.yaml")
    for target in re.findall(r"_target_: (kd_monai\.losses\.terms\.\S+)", file.read_text())
}


@pytest.mark.parametrize("term", all_terms())
def test_a_shipped_method_names_it_by_its_full_path(term: type) -> None:
    assert f"{term.__module__}.{term.__name__}" in NAMED


def test_every_path_in_a_method_is_that_of_a_term() -> None:
    assert {f"{term.__module__}.{term.__name__}" for term in all_terms()} == NAMED


def test_no_init_file_lists_terms() -> None:
    for folder in (FOLDER, *FOLDER.iterdir()):
        init = folder / "__init__.py"
        assert not init.is_file() or "import" not in init.read_text().replace("imports", "")
