"""Batches are MONAI's; one of one sample shares its memory."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from monai.data import MetaTensor, list_data_collate

from kd_monai.data import collate


def sample(number: float = 0) -> dict[str, Any]:
    return {
        "image": torch.full((2, 3, 3, 3), number),
        "subject": f"S{number}",
        "weight": number,
        "labelled": torch.tensor(True),
        "kept": MetaTensor(torch.ones(1, 3, 3, 3), meta={"filename_or_obj": "a.nii"}),
    }


def same(got: Any, expected: Any) -> bool:
    return list(got) == list(expected) and all(
        torch.equal(got[key], value) and type(got[key]) is type(value)
        if isinstance(value, torch.Tensor)
        else got[key] == value
        for key, value in expected.items()
    )


@pytest.mark.parametrize("samples", [[sample()], [[sample()]], [sample(1), sample(2)], [[sample(1), sample(2)]]])
def test_batches_are_those_of_monai(samples: list[Any]) -> None:
    assert same(collate(samples), list_data_collate(samples))


def test_a_batch_of_one_is_a_view() -> None:
    only = sample()
    assert collate([only])["image"].data_ptr() == only["image"].data_ptr()


def test_a_batch_of_two_is_not() -> None:
    first = sample()
    collate([first, sample()])["image"].add_(1)
    assert first["image"].max() == 0


@pytest.mark.parametrize(
    "part", [torch.zeros(2, 4, 4, 4)[:, 1:], torch.zeros(2, 3, 4, 5).transpose(1, 2)], ids=["cropped", "turned"]
)
def test_a_part_of_a_volume_is_copied(part: torch.Tensor) -> None:
    """A view would hold the whole volume, which may be a cache's, and keep its strides."""
    got = collate([{"image": part}])["image"]
    assert got.is_contiguous()
    got.add_(1)
    assert part.max() == 0


def test_a_worker_process_stacks_into_the_memory_that_it_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    only = sample()
    monkeypatch.setattr("kd_monai.data.batch_of_one.get_worker_info", lambda: object())
    assert collate([only])["image"].data_ptr() != only["image"].data_ptr()


def test_what_is_no_mapping_is_left_to_monai() -> None:
    assert torch.equal(collate([torch.ones(2)]), torch.ones(1, 2))
