"""Which convention follows from what."""

from __future__ import annotations

import pytest

from kd_monai.data.checks.files import choose_convention, convention_problems
from kd_monai.data.entries import DataSource
from kd_monai.errors import UserError
from kd_monai.task import LABEL_CONVENTIONS

KNOWN = [
    # layout, what it declares, values, convention
    ("brats2018", "brats2018", {0, 1, 2, 4}, "brats2018"),
    ("brats2023", "brats2023", {0, 1, 2, 3}, "brats2023"),
    ("brats2023", "brats2023", {0, 1, 2, 3, 4}, "brats2024"),
    ("msd", "msd", {0, 1, 2, 3}, "msd"),
    ("nnunet", None, {0, 1, 2, 4}, "brats2018"),
    ("nnunet", None, {0, 1, 2, 3, 4}, "brats2024"),
    ("datalist", "msd", {0, 1, 2, 3}, "msd"),
    ("datalist", "brats2023", {0, 1, 2, 3, 4}, "brats2023"),
]


@pytest.mark.parametrize(("layout", "declared", "values", "name"), KNOWN)
def test_auto(layout: str, declared: str | None, values: set[int], name: str) -> None:
    assert choose_convention("auto", DataSource(layout, convention=declared), values).name == name


@pytest.mark.parametrize("layout", ["nnunet", "datalist", "brats2023"])
def test_1_2_3_alone_are_never_guessed(layout: str) -> None:
    with pytest.raises(UserError, match="must be declared"):
        choose_convention("auto", DataSource(layout), {0, 1, 2, 3})


def test_what_the_user_says_wins() -> None:
    assert choose_convention("brats2023", DataSource("msd", convention="msd"), {1, 2, 3}).name == "brats2023"


def test_values_outside_the_convention_come_with_those_that_have_them() -> None:
    brats2018 = LABEL_CONVENTIONS["brats2018"]
    assert convention_problems({"s": (0, 1, 2, 4)}, {"s": "f"}, brats2018) == []
    (problem,) = convention_problems({"s": (0, 1, 2, 3)}, {"s": "f"}, brats2018)
    assert problem == (
        "subject s: labels of brats2018 are [0, 1, 2, 4], but f also has [3]. "
        "Set LABELS=brats2023 or brats2024 or msd if that is what they mean, or correct the file."
    )
    (problem,) = convention_problems({"s": (0, 7)}, {"s": "f"}, brats2018)
    assert "LABELS" not in problem


def test_a_wrong_convention_is_one_complaint_and_not_one_for_each_subject() -> None:
    values = {f"s{i}": (0, 1, 2, 4) if i else (0, 2) for i in range(6)} | {"odd": (0, 7)}
    alike, odd = convention_problems(values, {name: f"/{name}" for name in values}, LABEL_CONVENTIONS["brats2023"])
    assert alike == (
        "5 of 7 subjects, s1, s2, s3 ...: labels of brats2023 are [0, 1, 2, 3], but theirs, /s1 first, also have [4]. "
        "Set LABELS=brats2018 or brats2024 if that is what they mean, or correct the files."
    )
    assert odd.startswith("subject odd: ")
