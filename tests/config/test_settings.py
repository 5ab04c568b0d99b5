"""A setting reaches the runs whose configuration knows it, and one that nobody knows is a mistake."""

from __future__ import annotations

from pathlib import Path

import pytest
from kd_monai.config.settings import fitting

from kd_monai.config.overlays import STUDENT, TEACHER, overlay

OF_TEACHER = [TEACHER / "configs" / "train.yaml"]
OF_STUDENT = [STUDENT / "configs" / "train.yaml", overlay(STUDENT, "method", "kdnet")]


def test_both_know_what_both_have() -> None:
    given = {"learning_rate": 0.1, "network_def#norm": "batch", "train::trainer::max_epochs": 3}
    for files, others in ((OF_TEACHER, OF_STUDENT), (OF_STUDENT, OF_TEACHER)):
        assert fitting(given, files, [others]) == given


def test_a_new_argument_of_a_known_component_is_taken() -> None:
    assert fitting({"network_def#dropout": 0.1}, OF_TEACHER) == {"network_def#dropout": 0.1}


@pytest.mark.parametrize("target", ["segmentation_weight", "terms#latent_kl#weight", "terms::latent_kl::term::axis"])
def test_what_the_student_alone_has_leaves_the_teachers_identity_alone(target: str) -> None:
    assert fitting({target: 1, "epochs": 2}, OF_TEACHER, [OF_STUDENT]) == {"epochs": 2}
    assert fitting({target: 1, "epochs": 2}, OF_STUDENT, [OF_TEACHER]) == {target: 1, "epochs": 2}


@pytest.mark.parametrize("target", ["learning_rat", "terms#latent_k#weight", "network_deff#dropout"])
def test_a_misspelt_id_is_refused_by_name(target: str) -> None:
    """MONAI would take it without a word and train the wrong thing."""
    with pytest.raises(ValueError, match=rf"{target!r} is in none of.*Correct SET \(--set\), or TEACHER_SET") as caught:
        fitting({target: 1}, OF_STUDENT, [OF_TEACHER, OF_STUDENT])
    assert str(caught.value).count(str(OF_TEACHER[0])) == 1
    assert str(caught.value).count(str(OF_STUDENT[0])) == 1


def test_what_makes_a_run_what_it_is_stays() -> None:
    given = {"segmentation_weight": 0.5, "terms#latent_kl#weight": 1, "width": 4}
    assert fitting(given, OF_STUDENT, [OF_TEACHER], fixed=["segmentation_weight", "terms"]) == {"width": 4}


def test_a_list_is_indexed_by_number(tmp_path: Path) -> None:
    given = {"train#random_transforms#transforms#3#prob": 0.1}
    assert fitting(given, OF_STUDENT) == given
