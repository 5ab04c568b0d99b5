"""The vocabulary of BraTS."""

from __future__ import annotations

import pytest

from kd_monai.task import CANONICAL, LABEL_CONVENTIONS, MODALITIES, REGIONS, parse_modalities


def test_modalities_come_in_one_order() -> None:
    assert parse_modalities("flair-t1") == ("t1", "flair")
    assert parse_modalities(["T2", "t1ce"]) == ("t1ce", "t2")
    assert parse_modalities("-".join(MODALITIES)) == MODALITIES


@pytest.mark.parametrize(("text", "complaint"), [("t1-ct", "'ct' is unknown"), ("t1-t1", "once"), ("", "at least one")])
def test_a_wrong_subset_is_named(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_modalities(text)


# TC / WT / ET as published for each source
REGION_VALUES = {
    "brats2018": {"TC": {1, 4}, "WT": {1, 2, 4}, "ET": {4}},
    "brats2023": {"TC": {1, 3}, "WT": {1, 2, 3}, "ET": {3}},
    "brats2024": {"TC": {1, 3}, "WT": {1, 2, 3}, "ET": {3}},
    "msd": {"TC": {2, 3}, "WT": {1, 2, 3}, "ET": {3}},
}


@pytest.mark.parametrize("name", REGION_VALUES)
def test_regions_of_each_convention(name: str) -> None:
    convention = LABEL_CONVENTIONS[name]
    assert convention.name == name
    assert tuple(convention.regions) == REGIONS
    assert {region: set(values) for region, values in convention.regions.items()} == REGION_VALUES[name]


def test_the_resection_cavity_is_legal_and_in_no_region() -> None:
    convention = LABEL_CONVENTIONS["brats2024"]
    assert convention.values == {0, 1, 2, 3, 4}
    assert all(4 not in values for values in convention.regions.values())
    assert 4 not in LABEL_CONVENTIONS["brats2023"].values
    assert 3 not in CANONICAL.values
