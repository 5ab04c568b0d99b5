"""Networks that a student is refused for, before hours went into its teacher."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from kd_monai.study import roles
from kd_monai.study.grid import read_grid
from kd_monai.study.grid_data import read_data
from kd_monai.study.networks_ahead import check_networks
from kd_monai.study.roles import networks_of
from kd_monai.study.variables import read_variables

ADAPTER = ["--set", "terms#latent_kl#term#adapter=true"]
REFUSED = {
    "features of two networks": (["--network", "dynunet", "--teacher-network", "segresnet"], r"set `adapter: true`"),
    "features of two widths": (["--teacher-set", "width=4"], r"\(1, 64, .*\(1, 128, .*set `adapter: true`"),
    "two heads": (["--teacher-set", "head=labels"], r"'labels' teacher and a 'regions' student"),
    "a start from another network": (
        ["--init", "teacher", "--teacher-set", "width=4", *ADAPTER],
        r"INIT=teacher.*width",
    ),
    "a start without a modality": (
        ["--method", "finetune", "--modality", "flair", "--teacher-modalities", "t1-t2"],
        r"Correct MODALITY or TEACHER_MODALITIES",
    ),
    "a patch that the network does not read": (
        ["--network", "swinunetr", "--set", "roi_size=[80,96,80]"],
        r"The teacher's network \(SwinUNETR\).*roi_size \[80, 96, 80\].*2\*\*5.*another patch",
    ),
    "a layer that is missing": (["--set", "terms#latent_kl#term#student_layer=nowhere"], r"got \['nowhere'\]"),
    "a tap that is missing": (["--set", "terms#latent_kl#term#teacher_layer=$@teacher_run.tap('no')"], r"layer 'no'"),
}


@pytest.fixture
def line(phantom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A command's data; what trains fails."""

    def train(*_: Any) -> None:
        raise AssertionError("something was trained")

    monkeypatch.setattr(roles, "train", train)
    return ["--data", str(phantom), "--out", str(tmp_path)]


@pytest.mark.parametrize(("wrong", "said"), REFUSED.values(), ids=REFUSED)
def test_what_its_teacher_could_not_teach_is_refused(wrong: list[str], said: str, line: list[str]) -> None:
    with pytest.raises(ValueError, match=said):
        roles.train_student(read_variables(None, [*line, *wrong]))


def test_a_study_refuses_what_one_of_its_methods_could_not_learn(line: list[str]) -> None:
    study = [*line, "--teacher-set", "width=4", "--fold", "0", "--modalities", "t1"]
    assert read_data(read_grid(None, [*study, "--methods", "baseline,hinton"]))[1] == (0,)
    with pytest.raises(ValueError, match="set `adapter: true`"):
        read_data(read_grid(None, [*study, "--methods", "baseline,hinton,kdnet"]))


def test_what_goes_together_is_left_alone(line: list[str]) -> None:
    given = read_variables(None, [*line, "--network", "dynunet", "--teacher-network", "segresnet", *ADAPTER])
    state = torch.get_rng_state()
    check_networks(*networks_of(given, "kdnet", "t1ce"))
    assert torch.equal(torch.get_rng_state(), state)
    with pytest.raises(AssertionError, match="something was trained"):
        roles.train_student(given)


def test_a_method_of_the_users_is_looked_at(line: list[str], tmp_path: Path) -> None:
    term = {"_target_": "kd_monai.losses.Content", "teacher_layer": "down_4", "student_layer": "down_3"}
    mine = tmp_path / "mine.yaml"
    mine.write_text(yaml.safe_dump({"method": "mine", "terms": {"content": {"weight": 1.0, "term": term}}}))
    for method in (str(mine), f"hinton,{mine}"):
        with pytest.raises(ValueError, match="set `adapter: true`"):
            roles.train_student(read_variables(None, [*line, "--method", method]))
