"""Links, commands and sentences of README and docs/."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest
import yaml
from pages import DOCS, PAGES, ROOT, commands, sentences

from kd_monai.config.variables import VERBS, read_command

TARGETS = {"install", "test", "test-long", "lint", "docs", "figures"}
"""What the Makefile does without a verb of kd_monai."""
PARTS = ["Idea", "Formula", "Source", "Adapted", "Extra parameters", "Cost"]
NO_METHODS = {"Which one to take", "How to read the formulas", "Layers"}

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@pages
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


@pages
def test_every_command_is_one_that_the_table_of_variables_takes(page: Path) -> None:
    for command in commands(page):
        words = shlex.split(command)
        if words[0] not in ("make", "kd-monai") or words[1] in TARGETS:
            continue
        assert words[1] in VERBS, command
        for word in words[2:]:
            name, value = word.split("=", 1)
            # a value may name a file that only the reader has; names and choices are checked
            assert name in read_command([words[1], f"{name}={value}"]).typed, command


@pages
def test_sentences_have_some_fifteen_to_twenty_words_on_average_and_none_has_thirty(page: Path) -> None:
    if page.parent.name == "notes":
        pytest.skip("a log stands as it was written")
    lengths = {sentence: len(sentence.split()) for sentence in sentences(page)}
    assert not lengths or sum(lengths.values()) / len(lengths) <= 20
    assert [sentence for sentence, length in lengths.items() if length >= 30] == []


def test_readme_has_at_most_150_lines_and_shows_a_result_and_a_picture_before_anything_else() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 150
    first = "\n".join(lines[:45])
    assert first.count("\n|") <= 8
    assert "[+1.1, +4.8]" in first
    assert ".svg)" in first
    assert "make demo" in first


def test_every_page_stands_in_the_navigation_once() -> None:
    text = (ROOT / "mkdocs.yml").read_text()
    navigation = re.findall(r": (\S+\.md)$", yaml.safe_dump(yaml.safe_load(text)["nav"]), re.MULTILINE)
    there = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}
    assert len(navigation) == len(set(navigation))
    assert set(navigation) == there


def test_the_page_of_variables_is_the_table() -> None:
    sys.path.insert(0, str(DOCS / "reference"))
    from write_variables import PAGE, variables_page

    assert PAGE.read_text(encoding="utf-8") == variables_page(), "run docs/reference/write_variables.py"


def test_every_shipped_method_has_a_paragraph_of_six_parts() -> None:
    sections = dict(part.split("\n", 1) for part in (DOCS / "methods.md").read_text().split("\n## ")[1:])
    shipped = {path.stem for path in (ROOT / "bundles" / "brats_monomodal_student").glob("configs/methods/*.yaml")}
    assert sections.keys() - NO_METHODS == shipped - {"baseline"}
    for name in sections.keys() - NO_METHODS:
        assert [part for part in re.findall(r"\*\*([A-Z][^*]*)\.\*\*", sections[name]) if part != "Note"] == PARTS, name


@pytest.mark.slow
def test_the_website_builds_strictly(tmp_path: Path) -> None:
    config = pytest.importorskip("mkdocs.config", reason="pip install -e '.[docs]'")
    from mkdocs.commands.build import build

    build(config.load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path / "site")))
    text = "".join(path.read_text() for path in (tmp_path / "site").rglob("*.html"))
    loads = r"<(?:script|img|link rel=\"(?:stylesheet|preconnect)\")[^>]+(?:src|href)=\"(https?:[^\"]+)"
    assert re.findall(loads, text) == [], "a page loads something from elsewhere"
