from __future__ import annotations

import pytest

from kd_monai.tracking.journal import check_name, flat_params, text_tags


@pytest.mark.parametrize("name", ["train/loss", "val/dice_ET", "train/loss/latent_kl", "test/hd95_TC", "t1-t2"])
def test_the_names_of_this_project_are_legal(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["val/dice_t1+t2", "a//b", "../a", "/a", "", "train#loss", "a" * 251])
def test_an_illegal_name_is_shown_with_what_to_write_instead(name: str) -> None:
    with pytest.raises(ValueError, match="t1-t2"):
        check_name(name)


def test_legal_names_are_those_that_mlflow_takes() -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.utils.validation import _validate_metric_name

    for name in ["a/b", "a b", "a:b", "a-b_c.d", "a+b", "a//b", "../a", "/a", "./a", "a#b"]:
        try:
            _validate_metric_name(name)
        except MlflowException:
            with pytest.raises(ValueError, match="name must be"):
                check_name(name)
        else:
            check_name(name)


def test_long_values_are_cut_and_empty_dictionaries_kept() -> None:
    params = flat_params({"long": "x" * 7000, "empty": {}, "none": None, "deep": {"er": {"lr": 1e-4}}})
    assert params["long"].endswith("x...")
    assert len(params["long"]) == 500
    assert params["empty"] == "{}"
    assert params["none"] == "None"
    assert params["deep/er/lr"] == "0.0001"
    assert len(text_tags({"long": "x" * 9000})["long"]) == 5000
