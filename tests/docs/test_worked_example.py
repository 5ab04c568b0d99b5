"""`A method in 15 minutes`: the page's own files, written outside the package, train."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from pages import DOCS, titled_blocks
from tiny import coarse

PAGE = DOCS / "howto" / "add-a-method.md"
SHORTER = "SET=steps_per_epoch=2 width=4 spacing_mm=4.0 roi_size=[32, 32, 32]"


@pytest.fixture
def method(tmp_path: Path) -> Path:
    """The folder that the page tells its reader to make."""
    folder = tmp_path / "my_method"
    folder.mkdir()
    for name, content in titled_blocks(PAGE).items():
        (folder / name).write_text(content)
    return folder


def test_the_page_asks_for_a_term_and_its_yaml_and_nothing_else(method: Path) -> None:
    assert sorted(path.name for path in method.iterdir()) == ["uncertainty.py", "uncertainty.yaml"]


def test_the_term_of_the_page_is_its_formula_and_0_at_equality(method: Path) -> None:
    module = ModuleType("uncertainty")
    exec((method / "uncertainty.py").read_text(), module.__dict__)
    teacher, student = torch.rand(2, 3, 4, 5, 6), torch.rand(2, 3, 4, 5, 6)
    t, s = teacher.numpy(), student.numpy()
    expected = ((t - t**2 - s + s**2) ** 2).reshape(2, -1).mean(1)
    torch.testing.assert_close(module.uncertainty(teacher, student), torch.from_numpy(expected))
    assert torch.equal(module.uncertainty(teacher, teacher), torch.zeros(2))


@pytest.mark.slow
def test_the_page_trains(method: Path, phantom: Path, tmp_path: Path) -> None:
    data = coarse(phantom, tmp_path / "phantom")
    out = tmp_path / "runs"
    line = ["student", f"METHOD={method / 'uncertainty.yaml'}", f"DATA={data}", f"OUT={out}", "NETWORK=unet"]
    line += ["EPOCHS=1", "N_SUBJECTS=4", "DEVICE=cpu", SHORTER]
    done = subprocess.run([sys.executable, "-m", "kd_monai", *line], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = out.glob("uncertainty_t1ce-fold0-*/")
    journal = [json.loads(entry) for entry in (run / "journal.jsonl").read_text().splitlines()]
    assert any("train/loss/uncertainty" in entry.get("values", {}) for entry in journal if entry["op"] == "metrics")
