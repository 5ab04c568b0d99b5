"""A configuration file is parsed once, and again when it has changed; what is handed out is the caller's."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from kd_monai.config.config_files import ConfigFiles
from monai.bundle import ConfigParser

from kd_monai.config.overlays import STUDENT

TRAIN = STUDENT / "configs" / "train.yaml"


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Texts that PyYAML parsed."""
    seen: list[str] = []
    load = yaml.load

    def noting(stream, *given):
        seen.append(stream.name)
        return load(stream, *given)

    monkeypatch.setattr(yaml, "load", noting)
    return seen


def test_it_finds_what_monai_finds() -> None:
    baseline = STUDENT / "configs" / "methods" / "baseline.yaml"
    assert ConfigFiles.load_config_file(TRAIN) == ConfigParser.load_config_file(TRAIN)
    both = [str(TRAIN), str(baseline)]
    assert ConfigFiles.load_config_files(both) == ConfigParser.load_config_files(both)
    assert ConfigFiles.load_config_file("") == {}


def test_a_file_is_parsed_once_and_again_when_it_changed(tmp_path: Path, parsed: list[str]) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("width: 8\nroi_size: [1, 2]\n")
    for _ in range(3):
        found = ConfigFiles.load_config_file(path)
        assert found == {"width": 8, "roi_size": [1, 2]}
        found["roi_size"].append(3)  # of the caller alone
    assert len(parsed) == 1
    path.write_text("width: 16\n")
    assert ConfigFiles.load_config_file(path) == {"width": 16}
    assert len(parsed) == 2


@pytest.mark.parametrize(("name", "text", "error"), [("no.yaml", None, FileNotFoundError), ("a.txt", "a", ValueError)])
def test_it_refuses_as_monai_does(name: str, text: str | None, error: type[Exception], tmp_path: Path) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    said = []
    for loader in (ConfigFiles, ConfigParser):
        with pytest.raises(error) as refused:
            loader.load_config_file(path)
        said.append(str(refused.value))
    assert said[0] == said[1]


def test_a_key_that_stands_twice_is_warned_of(tmp_path: Path) -> None:
    (tmp_path / "twice.yaml").write_text("width: 8\nwidth: 9")
    with pytest.warns(UserWarning, match="Duplicate key: `width`"):
        ConfigFiles.load_config_file(tmp_path / "twice.yaml")
