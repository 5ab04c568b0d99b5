"""The tables that docs/results.md shows are those of the runs that are packed beside them."""

from __future__ import annotations

from pathlib import Path

import pytest

from kd_monai.report.publish import results_between
from kd_monai.report.report import results
from kd_monai.runs.archive import extract

ROOT = Path(__file__).parents[2]
PACKED = ROOT / "benchmarks" / "studies"
RESULTS = ROOT / "docs" / "results.md"
SHOWN = {
    "brats2018_2mm_cpu": "runs/study",
    "brats2018_2mm_h200": "runs/h200",
    "brats2018_2mm_fresh": "runs/fresh",
}


def test_every_packed_study_is_shown() -> None:
    assert {file.name for file in PACKED.glob("*.tar.*")} == {f"{name}.tar.xz" for name in SHOWN}


@pytest.mark.slow
@pytest.mark.parametrize("name", SHOWN)
def test_its_tables_are_those_of_its_runs(name: str, tmp_path: Path) -> None:
    extract(PACKED / f"{name}.tar.xz", tmp_path)
    begin, end = results_between(RESULTS, Path(SHOWN[name]))
    assert RESULTS.read_text()[begin:end].strip() == results(tmp_path)
