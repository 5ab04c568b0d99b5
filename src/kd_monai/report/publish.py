"""The results that README shows, written there from a report."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from kd_monai.atomic import write_bytes
from kd_monai.report.comparable import Group
from kd_monai.report.facts import report_facts, report_heading
from kd_monai.report.summary_tables import summary_tables
from kd_monai.report.words import report_words

BEGIN, END = "<!-- study results: make report README=README.md -->", "<!-- end of study results -->"
_BEGIN = re.compile(r"<!-- study results: make report(?: OUT=(?P<out>\S+))? README=\S+ -->")


def results_markdown(group: Group, rows: pd.DataFrame) -> str:
    """What the numbers were measured on, the primary endpoint, Dice per region and cost, and what they say together."""
    facts = f"{report_heading(group)}: {report_facts(group)[0]}"
    words = "\n".join(f"- {word}" for word in report_words(rows, brief=True))
    return "\n\n".join([facts, *(table.markdown() for table in summary_tables(rows)), words])


def write_results(file: Path, results: str, out: Path) -> None:
    """Put a folder's results between two comments of a Markdown file; the rest of it stays.

    Raises:
        ValueError: as `place_of` does.
    """
    begin, end = place_of(file, out)
    text = file.read_text(encoding="utf-8")
    write_bytes(file, f"{text[:begin]}\n\n{results}\n\n{text[end:]}".encode())


def place_of(file: Path, out: Path) -> tuple[int, int]:
    """Where a folder's results begin and end in the characters of a Markdown file.

    The first comment is the command that writes what follows it. One that names an ``OUT`` is that folder's, so that a
    file can show several studies; one that names none is of any folder that has no other.

    Raises:
        ValueError: no comment or several are this folder's, or one lacks its end.
    """
    text = file.read_text(encoding="utf-8")
    begins = list(_BEGIN.finditer(text))
    ends = [text.find(END, begin.end()) for begin in begins]
    limits = [*(begin.start() for begin in begins), len(text)][1:]
    whole = text.count(END) == len(begins) and all(0 <= end < limit for end, limit in zip(ends, limits, strict=True))
    places = [(begin["out"], begin.end(), end) for begin, end in zip(begins, ends, strict=True)]
    own = [place for place in places if place[0] and _same_folder(place[0], out)] or [
        place for place in places if not place[0]
    ]
    if not whole or len(own) != 1:
        raise ValueError(
            f"Results of {out} are written between the lines '<!-- study results: make report OUT={out} "
            f"README={file} -->' and '{END}', which must stand in {file} once each and in this order. Add them "
            "where the results belong."
        )
    ((_, begin, end),) = own
    return begin, end


def _same_folder(named: str, out: Path) -> bool:
    return Path(named).expanduser().resolve() == out.expanduser().resolve()
