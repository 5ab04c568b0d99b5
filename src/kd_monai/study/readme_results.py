"""The results that README shows, written there from a report."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from kd_monai.atomic import write_bytes
from kd_monai.study.group import Group
from kd_monai.study.report_facts import report_facts, report_heading
from kd_monai.study.report_words import report_words
from kd_monai.study.summary_tables import summary_tables

BEGIN, END = "<!-- study results: make report README=README.md -->", "<!-- end of study results -->"
_BEGIN = re.compile(r"<!-- study results: make report(?: OUT=(\S+))? README=\S+ -->")
_BLOCK = re.compile(rf"({_BEGIN.pattern})((?:(?!{_BEGIN.pattern}).)*?){re.escape(END)}", re.DOTALL)


def results_markdown(group: Group, rows: pd.DataFrame) -> str:
    """What the numbers were measured on, the primary endpoint, Dice per region and cost, and what they say together."""
    facts = f"{report_heading(group)}: {report_facts(group)[0]}"
    words = "\n".join(f"- {word}" for word in report_words(rows, brief=True))
    return "\n\n".join([facts, *(table.markdown() for table in summary_tables(rows)), words])


def write_results(file: Path, results: str, out: Path) -> None:
    """Put a folder's results between two comments of a Markdown file; the rest of it stays.

    The first comment is the command that writes what follows it. One that names an ``OUT`` is that folder's, so that a
    file can show several studies; one that names none is of any folder that has no other.

    Raises:
        ValueError: no comment or several are this folder's, or one lacks its end.
    """
    text = file.read_text(encoding="utf-8")
    blocks = list(_BLOCK.finditer(text))
    whole = len(blocks) == len(_BEGIN.findall(text)) == text.count(END)
    own = [block for block in blocks if block[2] and Path(block[2]) == out] or [
        block for block in blocks if not block[2]
    ]
    if not whole or len(own) != 1:
        raise ValueError(
            f"Results of {out} are written between the lines '{BEGIN.replace(' README', f' OUT={out} README')}' and "
            f"'{END}', which must stand in {file} once each and in this order. Add them where the results belong."
        )
    (block,) = own
    write_bytes(file, f"{text[: block.start()]}{block[1]}\n\n{results}\n\n{END}{text[block.end() :]}".encode())
