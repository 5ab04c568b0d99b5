"""The contract of the data benchmarks looks at every subject of both sides."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.data import MetaTensor

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from question import ContractError
from same_voxels import check_same

Samples = list[dict[str, Any]]


def both_sides() -> tuple[Samples, Samples]:
    """Two subjects as both sides cache them: ours in float16 with a label of 4 in one voxel, the zoo's with masks."""
    ours, theirs = [], []
    for number in range(2):
        image = torch.arange(1.0, 1 + 4 * 2 * 3 * 4).reshape(4, 2, 3, 4) + number
        label = torch.zeros(1, 2, 3, 4)
        label[0, 1, 1, 1] = 4
        regions = torch.cat([label > 0] * 3)
        common = {"subject": f"s{number}"}
        ours.append({**common, "image": MetaTensor(image.half()), "label": MetaTensor(label.byte())})
        theirs.append({**common, "image": MetaTensor(image), "label": MetaTensor(regions)})
    return ours, theirs


def test_equal_samples_pass() -> None:
    check_same(*both_sides())


def _voxel(ours: Samples, theirs: Samples) -> None:
    ours[1]["image"][0, 0, 0, 0] = 5


def _label(ours: Samples, theirs: Samples) -> None:
    ours[1]["label"][0, 1, 1, 1] = 2


def _subject(ours: Samples, theirs: Samples) -> None:
    theirs.pop()


def _all(ours: Samples, theirs: Samples) -> None:
    ours.clear(), theirs.clear()


def _key(ours: Samples, theirs: Samples) -> None:
    del theirs[1]["label"]


def _order(ours: Samples, theirs: Samples) -> None:
    theirs.reverse()


@pytest.mark.parametrize(
    ("breaks", "rule"),
    [
        (_voxel, "image voxels equal"),
        (_label, "same regions"),
        (_subject, "same number of subjects"),
        (_all, "same number of subjects"),
        (_key, "image and label of s1"),
        (_order, "same subjects in the same order"),
    ],
)
def test_what_the_second_subject_lacks_or_has_otherwise_is_seen(
    breaks: Callable[[Samples, Samples], None], rule: str
) -> None:
    ours, theirs = both_sides()
    breaks(ours, theirs)
    with pytest.raises(ContractError, match=rule):
        check_same(ours, theirs)
