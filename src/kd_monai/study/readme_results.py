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
_BETWEEN = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)


def results_markdown(group: Group, rows: pd.DataFrame) -> str:
    """What the numbers were measured on, the primary endpoint, Dice per region and cost, and what they say together."""
    facts = f"{report_heading(group)}: {report_facts(group)[0]}"
    words = "\n".join(f"- {word}" for word in report_words(rows, brief=True))
    return "\n\n".join([facts, *(table.markdown() for table in summary_tables(rows)), words])


def write_results(file: Path, results: str) -> None:
    """Put results between the two comments of a Markdown file; the rest of it stays.

    Raises:
        ValueError: the file does not have the comments once each, in order.
    """
    text = file.read_text(encoding="utf-8")
    if (text.count(BEGIN), text.count(END)) != (1, 1) or not _BETWEEN.search(text):
        raise ValueError(
            f"Results are written between the lines '{BEGIN}' and '{END}', which must stand in {file} once each and in "
            "this order. Add them where the results belong."
        )
    replaced = _BETWEEN.sub(lambda _: f"{BEGIN}\n\n{results}\n\n{END}", text)
    write_bytes(file, replaced.encode())
