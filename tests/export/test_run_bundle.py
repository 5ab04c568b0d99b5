"""A run folder is taken for its bundle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml
from monai.bundle import ConfigParser

from kd_monai.config.overlays import STUDENT, TEACHER, train_files
from kd_monai.export.bundle import bundle_of


@pytest.mark.parametrize(
    ("role", "template", "channels"), [("teacher", TEACHER, 4), ("student", STUDENT, 1), ("baseline", STUDENT, 1)]
)
def test_role_decides_the_template(role: str, template: Path, channels: int, tmp_path: Path) -> None:
    parser = ConfigParser()
    parser.read_config(train_files(template))
    parser["width"] = 2
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(parser.get(), sort_keys=False))
    (tmp_path / "run.json").write_text(json.dumps({"role": role, "status": "FINISHED"}))
    torch.save(parser.get_parsed_content("network_def").state_dict(), tmp_path / "model.pt")
    bundle = bundle_of(tmp_path)
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    assert metadata["network_data_format"]["inputs"]["image"]["num_channels"] == channels
    assert (bundle / "docs" / "README.md").read_text() == (template / "docs" / "README.md").read_text()


def test_exported_bundle_is_kept(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    assert bundle_of(tmp_path) == tmp_path / "bundle"


def test_other_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has a run\.json"):
        bundle_of(tmp_path)
