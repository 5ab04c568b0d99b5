"""Which convention follows from what."""

from __future__ import annotations

import pytest

from kd_monai.brats import LABEL_CONVENTIONS
from kd_monai.data import DataError
from kd_monai.data.convention import choose_convention, convention_problem
from kd_monai.data.found import Found

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
    assert choose_convention("auto", Found(layout, convention=declared), values).name == name


@pytest.mark.parametrize("layout", ["nnunet", "datalist", "brats2023"])
def test_1_2_3_alone_are_never_guessed(layout: str) -> None:
    with pytest.raises(DataError, match="must be declared"):
        choose_convention("auto", Found(layout), {0, 1, 2, 3})


def test_what_the_user_says_wins() -> None:
    assert choose_convention("brats2023", Found("msd", convention="msd"), {1, 2, 3}).name == "brats2023"


def test_values_outside_the_convention_come_with_those_that_have_them() -> None:
    brats2018 = LABEL_CONVENTIONS["brats2018"]
    assert convention_problem("s", "f", (0, 1, 2, 4), brats2018) is None
    problem = convention_problem("s", "f", (0, 1, 2, 3), brats2018)
    assert problem is not None
    assert "[3]" in problem
    assert "LABELS=brats2023 or brats2024 or msd" in problem
    problem = convention_problem("s", "f", (0, 7), brats2018)
    assert problem is not None
    assert "LABELS" not in problem
