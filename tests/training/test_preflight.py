"""What the last run of a command would be refused for is refused before its first training."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from monai.networks.nets import BasicUNet

from kd_monai.config.overlays import SHARED, STUDENT
from kd_monai.config.plan import Plans, read_plans
from kd_monai.config.variables import read_command
from kd_monai.errors import UserError
from kd_monai.training import preflight as module
from kd_monai.training.preflight import check_heads, check_networks, preflight
from kd_monai.training.workflow import train_teachers

Make = Callable[..., Plans]


@pytest.fixture
def plans(phantom: Path, tmp_path: Path) -> Make:
    def make(*words: str, verb: str = "student") -> Plans:
        return read_plans(read_command([verb, f"DATA={phantom}", f"OUT={tmp_path}", *words]), "student")

    return make


# --- data


def test_unlabelled_patients_of_the_fold_are_refused(plans: Make, phantom: Path) -> None:
    with pytest.raises(UserError, match="UNLABELLED"):
        preflight(plans(f"UNLABELLED={phantom}"))
    with pytest.raises(UserError, match="UNLABELLED"):
        preflight(plans(f"UNLABELLED={phantom}", "TEACHER=mine"))


def test_a_training_part_that_does_not_fill_the_inner_folds_is_refused(plans: Make) -> None:
    with pytest.raises(UserError, match="inner_folds"):
        preflight(plans("TEACHERS=crossfit", "N_SUBJECTS=2"))
    preflight(plans("TEACHERS=crossfit", "N_SUBJECTS=3"))


def test_settings_of_the_teacher_alone_count_for_its_inner_folds(plans: Make) -> None:
    preflight(plans("TEACHERS=crossfit", "N_SUBJECTS=2", "TEACHER_SET=n_subjects=null"))


def test_a_named_teacher_of_more_subjects_may_have_inner_ones(plans: Make) -> None:
    named = plans("TEACHER=mine", "TEACHERS=crossfit", "N_SUBJECTS=2")
    preflight(named)
    with pytest.raises(UserError, match=r"run\.json"):  # it came to reading that teacher
        train_teachers(named)


def test_what_is_right_is_left_alone(plans: Make) -> None:
    preflight(plans("N_SUBJECTS=3", "UNLABELLED=rest", "TEACHERS=crossfit"))
    preflight(plans("METHOD=baseline"))


def test_a_method_that_learns_nothing_of_unlabelled_subjects_is_refused(plans: Make) -> None:
    with pytest.raises(UserError, match="finetune"):
        preflight(plans("N_SUBJECTS=3", "UNLABELLED=rest", "METHOD=finetune"))


def test_a_methods_file_may_ask_for_cross_fitted_teachers(plans: Make, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("teachers: crossfit\nunlabelled: rest\n")
    with pytest.raises(UserError, match="inner_folds"):
        preflight(plans(f"METHOD={mine}", "N_SUBJECTS=2"))
    preflight(plans(f"METHOD={mine}", "N_SUBJECTS=3"))


# --- heads


def test_a_term_of_one_head_is_refused_with_the_other_and_taken_with_its_own(plans: Make) -> None:
    with pytest.raises(UserError, match="SET=head=labels"):
        preflight(plans("METHOD=standardized"))
    check_heads(plans("METHOD=standardized", "SET=head=labels").student)
    check_heads(plans("METHOD=standardized", "RECIPE=paper").student)


@pytest.mark.parametrize("term", [None, "@elsewhere"])
def test_what_is_no_component_needs_no_head(term: str | None, plans: Make) -> None:
    check_heads(plans().student.changed({"terms": {"one": {"weight": 1, "term": term}}}))
    check_heads(plans().student.changed({"terms": None}))


# --- networks

ADAPTER = "SET=terms#latent_kl#term#adapter=true"
REFUSED = {
    "features of two networks": (["NETWORK=dynunet", "TEACHER_NETWORK=segresnet"], "adapter: true"),
    "features of two widths": (["TEACHER_SET=width=4"], r"64.*128.*adapter: true"),
    "two heads": (["TEACHER_SET=head=labels"], "'labels' teacher and a 'regions' student"),
    "a start from another network": (["INIT=teacher", "TEACHER_SET=width=4", ADAPTER], "INIT=teacher"),
    "a start without a sequence": (["METHOD=finetune", "MODALITY=flair", "TEACHER_MODALITIES=t1-t2"], "MODALITY"),
    "a patch that the network does not read": (
        ["NETWORK=swinunetr", "RECIPE=study"], r"The teacher's network \(SwinUNETR\).*\[80, 96, 80\]",
    ),
    "a layer that is missing": (["SET=terms#latent_kl#term#student_layer=nowhere"], "nowhere"),
    "a tap that is missing": (["SET=terms#latent_kl#term#teacher_layer=$@teacher_run.tap('no')"], "layer 'no'"),
}  # fmt: skip


@pytest.mark.parametrize(("words", "said"), REFUSED.values(), ids=REFUSED)
def test_what_its_teacher_could_not_teach_is_refused(words: list[str], said: str, plans: Make) -> None:
    with pytest.raises(UserError, match=said):
        preflight(plans(*words))


@pytest.mark.parametrize("network", [path.stem for path in sorted((SHARED / "networks").glob("*.yaml"))])
def test_every_network_teaches_its_like(network: str, plans: Make, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    made = plans(f"NETWORK={network}")
    assert made.teacher is not None
    check_networks(made.teacher, made.student)
    assert "shows when the student starts" not in caplog.text


METHODS = [path.stem for path in sorted((STUDENT / "configs" / "methods").glob("*.yaml")) if path.stem != "baseline"]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_goes_with_the_default_network(method: str, plans: Make, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    head = ["SET=head=labels"] if method == "standardized" else []
    made = plans("NETWORK=unet", f"METHOD={method}", "MODALITY=t1-t2", *head)
    assert made.teacher is not None
    check_networks(made.teacher, made.student)
    assert "shows when the student starts" not in caplog.text


class LooksAtNumbers(BasicUNet):
    """Its path depends on what it reads."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x if x.mean().item() > 0 else -x)


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name by which YAML finds this module, which pytest loads under another."""
    monkeypatch.setitem(sys.modules, "preflight_networks", sys.modules[__name__])
    return "preflight_networks"


@pytest.mark.parametrize("kind", ["numbers", "a trained teacher"])
def test_what_shapes_do_not_tell_is_left_to_the_run(
    kind: str, plans: Make, tmp_path: Path, importable: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    network = {"_target_": f"{importable}.LooksAtNumbers", "spatial_dims": 3, "in_channels": 1}
    content: dict[str, Any] = (
        {"network_def": network}
        if kind == "numbers"
        else {"terms": {"one": {"weight": 1.0, "term": "$@teacher_run.record['anything']"}}}
    )
    mine = tmp_path / "mine.yaml"
    mine.write_text(yaml.safe_dump(content))
    preflight(plans(f"METHOD={mine}"))
    assert "shows when the student starts" in caplog.text


def test_the_check_draws_no_random_numbers(plans: Make) -> None:
    made = plans("NETWORK=dynunet", "TEACHER_NETWORK=segresnet", ADAPTER)
    assert made.teacher is not None
    state = torch.get_rng_state()
    check_networks(made.teacher, made.student)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_method_of_the_users_is_looked_at(plans: Make, tmp_path: Path) -> None:
    target = "kd_monai.losses.terms.features.content.Content"
    term = {"_target_": target, "teacher_layer": "down_4", "student_layer": "down_3"}
    mine = tmp_path / "mine.yaml"
    mine.write_text(yaml.safe_dump({"terms": {"content": {"weight": 1.0, "term": term}}}))
    with pytest.raises(UserError, match="adapter"):
        preflight(plans(f"METHOD={mine}"))


def test_what_the_bundles_say_themselves_is_not_looked_at(plans: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes together, and the check takes half a second."""
    monkeypatch.setattr(module, "check_networks", lambda *_: pytest.fail("networks were built"))
    preflight(plans("METHOD=hinton", "EPOCHS=3", "FOLD=1", "RECIPE=study", "MODALITY=flair"))
