"""Folders of finished teachers, and a datalist with unlabelled subjects."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import torch
import yaml
from monai.bundle import ConfigParser
from small_run import datalist, entries

from kd_monai.config.overlays import TEACHER as BUNDLE
from kd_monai.config.overlays import train_files
from kd_monai.data import Datalist, Unlabelled

RECORD = {
    "role": "teacher", "status": "FINISHED", "run_key": "k" * 64, "spacing_mm": 2.0, "seen": ["a", "b", "c", "d"],
}  # fmt: skip


def teacher_run(folder: Path, *, without: str = "", record: dict[str, Any] | None = None, **settings: Any) -> Path:
    """What a teacher's training leaves behind, with the weights it would have started from."""
    parser = ConfigParser(ConfigParser.load_config_files(train_files(BUNDLE)))
    parser.update({"width": 2, "modality": "t1-flair", **settings})
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(parser.get()))
    (folder / "split.json").write_text("{}")
    torch.manual_seed(0)
    torch.save(parser.get_parsed_content("network_def").state_dict(), folder / "model.pt")
    digest = hashlib.sha256((folder / "model.pt").read_bytes()).hexdigest()[:16]
    (folder / "run.json").write_text(json.dumps({**RECORD, "model_digest": digest, **(record or {})}))
    if without:
        (folder / without).unlink()
    return folder


def with_unlabelled(*subjects: str) -> Datalist:
    return dataclasses.replace(datalist(), unlabelled=Unlabelled(entries(*subjects), "rest"))
