"""Networks that a student is refused for, before hours went into its teacher."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from kd_monai.grid.grid import read_grid
from kd_monai.training.grid_data import check_grid
from kd_monai.training.networks_ahead import check_networks
from kd_monai.training.roles import networks_of
from monai.networks.nets import BasicUNet
from tiny import pipeline

from kd_monai.config.overlays import STUDENT
from kd_monai.config.variables import read_variables
from kd_monai.training import roles

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
        ["--network", "swinunetr", "--recipe", "study"],
        r"The teacher's network \(SwinUNETR\).*roi_size \[80, 96, 80\].*2\*\*5.*another patch",
    ),
    "a layer that is missing": (["--set", "terms#latent_kl#term#student_layer=nowhere"], r"got \['nowhere'\]"),
    "a tap that is missing": (["--set", "terms#latent_kl#term#teacher_layer=$@teacher_run.tap('no')"], r"layer 'no'"),
}


@pytest.mark.parametrize(("wrong", "said"), REFUSED.values(), ids=REFUSED)
def test_what_its_teacher_could_not_teach_is_refused(wrong: list[str], said: str, line: list[str]) -> None:
    with pytest.raises(ValueError, match=said):
        roles.train_student(read_variables(None, [*line, *wrong]))


@pytest.mark.parametrize("verb", ["student", "demo"])
def test_the_commands_refuse_it_before_they_train_a_teacher(
    verb: str, line: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pipeline(verb, [*line, "--teacher-set", "width=4"], monkeypatch) == 2
    assert "set `adapter: true`" in capsys.readouterr().err


def test_a_study_refuses_what_one_of_its_methods_could_not_learn(line: list[str]) -> None:
    study = [*line, "--teacher-set", "width=4", "--fold", "0", "--modalities", "t1"]
    check_grid(read_grid(None, [*study, "--methods", "baseline,hinton"]))
    with pytest.raises(ValueError, match="set `adapter: true`"):
        check_grid(read_grid(None, [*study, "--methods", "baseline,hinton,kdnet"]))


@pytest.mark.parametrize("network", [path.stem for path in sorted((STUDENT / "configs" / "networks").glob("*.yaml"))])
def test_every_network_teaches_its_like(network: str, line: list[str], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    check_networks(*networks_of(read_variables(None, [*line, "--network", network]), "kdnet", "t1ce"))
    assert "shows when the student starts" not in caplog.text


METHODS = [path.stem for path in sorted((STUDENT / "configs" / "methods").glob("*.yaml")) if path.stem != "baseline"]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_goes_with_the_default_network(
    method: str, line: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    head = ["--set", "head=labels"] if method == "standardized" else []
    check_networks(*networks_of(read_variables(None, [*line, "--network", "unet", *head]), method, "t1-t2"))
    assert "shows when the student starts" not in caplog.text


class LooksAtNumbers(BasicUNet):
    """Its path depends on what it reads."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x if x.mean().item() > 0 else -x)


@pytest.mark.parametrize(
    "own",
    [
        {"network_def": {"_target_": f"{__name__}.LooksAtNumbers", "spatial_dims": 3, "in_channels": 1}},
        {"terms": {"one": {"weight": 1.0, "term": "$@teacher_run.record['anything']"}}},
    ],
    ids=["numbers", "a trained teacher"],
)
def test_what_shapes_do_not_tell_is_left_to_the_run(
    own: dict[str, Any], line: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    mine = tmp_path / "mine.yaml"
    mine.write_text(yaml.safe_dump({"method": "mine", **own}))
    with pytest.raises(AssertionError, match="something was trained"):
        roles.train_student(read_variables(None, [*line, "--method", str(mine)]))
    assert "shows when the student starts" in caplog.text


def test_what_goes_together_is_left_alone(line: list[str]) -> None:
    given = read_variables(None, [*line, "--network", "dynunet", "--teacher-network", "segresnet", *ADAPTER])
    state = torch.get_rng_state()
    check_networks(*networks_of(given, "kdnet", "t1ce"))
    assert torch.equal(torch.get_rng_state(), state)
    with pytest.raises(AssertionError, match="something was trained"):
        roles.train_student(given)


def test_a_method_of_the_users_is_looked_at(line: list[str], tmp_path: Path) -> None:
    term = {
        "_target_": "kd_monai.losses.terms.features.content.Content",
        "teacher_layer": "down_4",
        "student_layer": "down_3",
    }
    mine = tmp_path / "mine.yaml"
    mine.write_text(yaml.safe_dump({"method": "mine", "terms": {"content": {"weight": 1.0, "term": term}}}))
    for method in (str(mine), f"hinton,{mine}"):
        with pytest.raises(ValueError, match="set `adapter: true`"):
            roles.train_student(read_variables(None, [*line, "--method", method]))
