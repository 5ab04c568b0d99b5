"""`make student TEACHERS=crossfit UNLABELLED=rest INIT=teacher`, short: trained, scored, and found again."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from tiny import coarse, words

from kd_monai.config.variables import read_variables
from kd_monai.training import roles

pytestmark = pytest.mark.slow


def test_all_options_together_from_the_first_teacher_to_the_table(phantom: Path, tmp_path: Path) -> None:
    data = str(coarse(phantom, tmp_path / "data"))
    line = words(data=data, out=str(tmp_path), n_subjects='3', teachers='crossfit', unlabelled='rest', init='teacher', cache='disk')  # fmt: skip
    given = read_variables(None, line)
    student = roles.train_student(given)
    assert student.record["n_unlabelled"] == 1
    assert len(student.record["teacher_key"].split(",")) == 4
    labels = list((student.path / "pseudo_labels").glob("*.volume"))
    assert [path.stem for path in labels] == [student.datalist.unlabelled.entries[0]["subject"]]
    volumes = len(list((tmp_path / "cache").glob("*.volume")))
    n_images, n_labelled = 4 * (3 + 1 + 1), 3 + 1  # four modalities: trained on, unlabelled, validated with
    assert volumes == n_images + n_labelled  # those of the inner teachers are the same files

    teacher = roles.train_teacher(given)
    baseline = roles.train_baseline(given)
    for run in (teacher, baseline, student):
        roles.evaluate_run(run, given)
        assert len(pd.read_csv(run.path / "cases.csv")) == run.record["n_test"]
    text = roles.side_by_side([student])
    assert "Missing" not in text
    assert "without_0_of_3" not in text

    config = (student.path / "config.yaml").read_text()
    assert "teachers: crossfit" in config
    before = torch.load(student.model, weights_only=True)
    again = roles.train_student(given)
    assert again.path == student.path
    assert json.loads((again.path / "run.json").read_text())["status"] == "FINISHED"
    assert all(torch.equal(value, before[name]) for name, value in torch.load(again.model, weights_only=True).items())
