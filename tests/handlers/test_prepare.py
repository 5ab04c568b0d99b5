"""Each network reads its own modalities of one and the same patch."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from monai.data import MetaTensor

from kd_monai.handlers import PrepareBatch, select_channels
from kd_monai.task import MODALITIES

IMAGE = torch.arange(4.0).reshape(1, 4, 1, 1, 1).expand(2, 4, 3, 4, 5) + 10 * torch.arange(2.0).reshape(2, 1, 1, 1, 1)
SUBSETS = [subset for k in range(1, 5) for subset in combinations(MODALITIES, k)]


@pytest.mark.parametrize("wanted", SUBSETS)
def test_every_subset_of_modalities_is_read_by_name(wanted) -> None:
    chosen = select_channels(IMAGE, MODALITIES, wanted)
    expected = [MODALITIES.index(name) for name in wanted]
    assert chosen[0, :, 0, 0, 0].tolist() == expected
    assert chosen[1, :, 0, 0, 0].tolist() == [10 + index for index in expected]


def test_names_decide_and_not_positions() -> None:
    assert select_channels(IMAGE[:, :2], ["t1ce", "flair"], ["flair"])[0, 0, 0, 0, 0] == 1


def test_all_modalities_are_no_copy() -> None:
    assert select_channels(IMAGE, MODALITIES, list(MODALITIES)) is IMAGE


def test_a_modality_that_the_batch_lacks_is_named() -> None:
    with pytest.raises(ValueError, match=r"\['t2'\].*t1ce"):
        select_channels(IMAGE[:, :1], ["t1ce"], ["t1ce", "t2"])


def test_networks_get_plain_tensors_and_the_label_of_the_patch() -> None:
    label = torch.ones(2, 3, 3, 4, 5)
    image, target = PrepareBatch(MODALITIES, ["t2"])({"image": MetaTensor(IMAGE), "label": MetaTensor(label)}, "cpu")
    assert type(image) is type(target) is torch.Tensor
    assert image.shape == (2, 1, 3, 4, 5)
    assert (image[0] == MODALITIES.index("t2")).all()
    assert torch.equal(target, label)


def test_every_sample_of_a_batch_keeps_its_own_voxels() -> None:
    """No mask is drawn once for a whole batch: splitting the batch changes nothing."""
    prepare = PrepareBatch(MODALITIES, ["t1", "flair"])
    batch = {"image": torch.randn(3, 4, 2, 2, 2), "label": torch.randn(3, 3, 2, 2, 2)}
    whole, _ = prepare(batch)
    parts = [prepare({name: value[i : i + 1] for name, value in batch.items()})[0] for i in range(3)]
    assert torch.equal(whole, torch.cat(parts))
    assert torch.equal(whole, batch["image"][:, [0, 3]])
