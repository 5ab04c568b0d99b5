"""README and the pages of docs/, as tests read them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md")] + sorted(DOCS.rglob("*.md"))
GENERATED = re.compile(r"<!-- study results.*?<!-- end of study results -->", re.DOTALL)


def commands(page: Path) -> list[str]:
    """Every line of a page's ``sh`` blocks, without its comment."""
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL)
    lines = [line.partition("  # ")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


def titled_blocks(page: Path) -> dict[str, str]:
    """File name -> content of a page's blocks that have a title."""
    return dict(re.findall(r'```\w+ title="([^"]+)"\n(.*?)```', page.read_text(), re.DOTALL))


def sentences(page: Path) -> list[str]:
    """Sentences of a page's prose; code, tables, headings, pictures and generated parts are no prose."""
    text = re.sub(r"```.*?```", "", GENERATED.sub("", page.read_text()), flags=re.DOTALL)
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)", "", text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", re.sub(r"`[^`]*`", "code", text))
    paragraphs: list[str] = [""]
    for line in text.splitlines():
        if not line.strip() or line.startswith(("#", "|", ":::", "    ")):
            paragraphs.append("")
        elif re.match(r"\s*([-*]|\d+\.) ", line):
            paragraphs.append(re.sub(r"^\s*([-*]|\d+\.) ", "", line))
        else:
            paragraphs[-1] += f" {line.strip()}"
    parts = [part for paragraph in paragraphs for part in re.split(r"(?<=[.!?:])[*\"')]*\s+", paragraph)]
    return [part for part in parts if len(part.split()) > 2]
