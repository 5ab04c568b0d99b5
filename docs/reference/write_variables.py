"""The page of variables, from the one table: python docs/reference/write_variables.py"""

from __future__ import annotations

from pathlib import Path

from kd_monai.config.variables import OF_MAKE, TABLE, VERBS

PAGE = Path(__file__).with_name("variables.md")
HEAD = """# Variables

This page is generated from `src/kd_monai/config/variables.py` by `docs/reference/write_variables.py`.

`make VERB NAME=value ...`, `kd-monai VERB NAME=value ...` and `python -m kd_monai VERB NAME=value ...` are the same. An
unknown name, a name of another verb and a misspelt value are refused. None of these variables is read from the
environment. What other programs read there counts as usual, such as `MLFLOW_TRACKING_URI` and `OMP_NUM_THREADS`.
"""


def variables_page() -> str:
    """Markdown: the verbs with their variables, then every variable with default, example and meaning."""
    takes = {verb: list(dict.fromkeys(row.name for row in TABLE if verb in row.verbs)) for verb in VERBS}
    verbs = [f"| `{verb}` | {text} | {_names(takes[verb])} |" for verb, text in VERBS.items()]
    rows = [
        f"| `{row.name}` | {_code(row.default)} | {_code(row.example)} | {_cell(row.help)} | {_names(row.verbs)} |"
        for row in sorted(TABLE, key=lambda row: row.name)
    ]
    return "\n".join(
        [
            HEAD,
            "## Verbs\n\n| verb | what it does | variables |\n|---|---|---|",
            *verbs,
            "\n## All variables\n\n| name | default | example | meaning | verbs |\n|---|---|---|---|---|",
            *rows,
            f"\n{_names(OF_MAKE)} are of the Makefile alone: they choose the environment.\n",
        ]
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _code(text: str) -> str:
    return f"`{_cell(text)}`" if text else ""


def _names(names) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    PAGE.write_text(variables_page(), encoding="utf-8")
