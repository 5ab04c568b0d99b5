"""The tables that README and benchmarks/studies show are those of the runs that are packed beside them."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import pytest

from kd_monai.report.publish import results_between
from kd_monai.report.report import results

ROOT = Path(__file__).parents[2]
PACKED = ROOT / "benchmarks" / "studies"
SHOWN = {
    "brats2018_2mm_cpu": ("README.md", "runs/study"),
    "brats2018_2mm_h200": ("benchmarks/studies/README.md", "runs/h200"),
    "brats2018_2mm_fresh": ("benchmarks/studies/README.md", "runs/fresh"),
}


def test_every_packed_study_is_shown() -> None:
    assert {file.name for file in PACKED.glob("*.jsonl*")} == {f"{name}.jsonl.xz" for name in SHOWN}


@pytest.mark.slow
@pytest.mark.parametrize("name", SHOWN)
def test_its_tables_are_those_of_its_runs(name: str, tmp_path: Path) -> None:
    readme, out = SHOWN[name]
    with lzma.open(PACKED / f"{name}.jsonl.xz", "rt") as lines:
        _cells, *runs = map(json.loads, lines)
    for run in runs:
        folder = tmp_path / run["run"]
        folder.mkdir()
        for file, text in run["files"].items():
            (folder / file).write_text(text)
    begin, end = results_between(ROOT / readme, Path(out))
    assert (ROOT / readme).read_text()[begin:end].strip() == results(tmp_path)
