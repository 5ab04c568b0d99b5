"""The weighted sum, its slot, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kd_monai.losses import DistillationLoss, SegmentationLoss
from kd_monai.losses.terms.outputs.soft_dice_bce import SoftDiceBCE
from kd_monai.networks import LabelsHead, RegionsHead
from kd_monai.outputs import Batch, Outputs

LOGITS = torch.randn(2, 3, 4, 5, 6, generator=torch.Generator().manual_seed(0))
LABEL = (torch.rand(2, 3, 4, 5, 6, generator=torch.Generator().manual_seed(1)) > 0.5).float()


class Constant(nn.Module):
    def __init__(self, value: float, size: int = 2) -> None:
        super().__init__()
        self.value, self.size = value, size

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> torch.Tensor:
        return torch.full((self.size,), self.value)


def loss_with(terms, weight: float = 1.0) -> DistillationLoss:
    return DistillationLoss(SegmentationLoss(RegionsHead()), weight, terms)


def fill(loss: DistillationLoss) -> None:
    outputs = Outputs(LOGITS, RegionsHead())
    loss.fill(outputs, outputs, Batch(LABEL, LABEL, LABEL))


def test_total_is_the_weighted_sum_and_names_are_unweighted() -> None:
    loss = loss_with(
        {"two": {"weight": 3.0, "term": Constant(2.0)}, "one": {"weight": 0.5, "term": Constant(1.0)}}, 0.25
    )
    fill(loss)
    segmentation = SegmentationLoss(RegionsHead())(LOGITS, LABEL)
    torch.testing.assert_close(loss(LOGITS, LABEL), 0.25 * segmentation + 6.5)
    assert {name: value.item() for name, value in loss.named.items() if name != "segmentation"} == {"two": 2, "one": 1}
    torch.testing.assert_close(loss.named["segmentation"], segmentation)


def test_an_empty_slot_raises_and_the_slot_is_emptied_by_every_call() -> None:
    loss = loss_with({"one": {"weight": 1.0, "term": Constant(1.0)}})
    with pytest.raises(RuntimeError, match="slot is empty"):
        loss(LOGITS, LABEL)
    fill(loss)
    loss(LOGITS, LABEL)
    with pytest.raises(RuntimeError, match="slot is empty"):
        loss(LOGITS, LABEL)


def test_without_terms_it_is_the_segmentation_loss_bit_for_bit() -> None:
    assert torch.equal(loss_with(None)(LOGITS, LABEL), SegmentationLoss(RegionsHead())(LOGITS, LABEL))


def test_terms_of_weight_zero_leave_value_and_gradient_bit_for_bit() -> None:
    gradients = []
    for terms in (None, {"kd": {"weight": 0.0, "term": SoftDiceBCE()}}):
        logits = LOGITS.clone().requires_grad_()
        loss = loss_with(terms)
        loss.fill(Outputs(logits, RegionsHead()), Outputs(LOGITS.flip(0), RegionsHead()), Batch(LABEL, LABEL, LABEL))
        loss(logits, LABEL).backward()
        gradients.append(logits.grad)
    assert torch.equal(*gradients)


@pytest.mark.parametrize("entry", [{"weight": -1.0, "term": Constant(1.0)}, {"term": Constant(1.0)}])
def test_a_bad_entry_is_refused(entry) -> None:
    with pytest.raises(ValueError, match="distillation term"):
        loss_with({"bad": entry})


def test_a_term_must_give_one_value_per_sample() -> None:
    loss = loss_with({"bad": {"weight": 1.0, "term": Constant(1.0, size=1)}})
    fill(loss)
    with pytest.raises(RuntimeError, match="one value per sample"):
        loss(LOGITS, LABEL)


def test_segmentation_loss_of_a_perfect_prediction_is_zero_for_both_heads() -> None:
    regions = torch.zeros(1, 3, 4, 4, 4)
    regions[:, 1, :3], regions[:, 0, :2], regions[:, 2, :1] = 1, 1, 1
    for head in (RegionsHead(), LabelsHead()):
        value = SegmentationLoss(head)(40 * (2 * head.target(regions) - 1), regions)
        assert value.item() == pytest.approx(0, abs=1e-3)


def test_regions_overlap_without_competing() -> None:
    """MONAI's DiceCELoss would put a softmax across TC, WT and ET, for which this target is impossible."""
    everything = torch.ones(1, 3, 2, 2, 2)
    assert SegmentationLoss(RegionsHead())(20 * everything, everything).item() == pytest.approx(0, abs=1e-3)


def test_an_empty_region_gives_no_nan() -> None:
    logits = LOGITS.clone().requires_grad_()
    SegmentationLoss(RegionsHead())(logits, torch.zeros_like(LABEL)).backward()
    assert torch.isfinite(logits.grad).all()


def masked(
    labelled: list[bool], logits: torch.Tensor, label: torch.Tensor = LABEL
) -> tuple[DistillationLoss, torch.Tensor]:
    """A loss of segmentation and soft labels, and its value, where some samples have no reference."""
    loss = loss_with({"kd": {"weight": 1.0, "term": SoftDiceBCE()}}, 0.5)
    outputs = Outputs(logits, RegionsHead())
    loss.fill(
        outputs, Outputs(LOGITS.flip(0), RegionsHead()), Batch(label, label, label, labelled=torch.tensor(labelled))
    )
    return loss, loss(logits, label)


def test_a_sample_without_reference_gives_no_segmentation_gradient_and_is_taught_all_the_same() -> None:
    logits, guess = LOGITS.clone().requires_grad_(), LABEL.clone()
    loss, value = masked([True, False], logits)
    (gradient,) = torch.autograd.grad(value, logits)
    guess[1] = 1 - guess[1]
    _, other = masked([True, False], logits, guess)
    assert torch.equal(value, other)  # whatever its label says
    loss.weights["kd"] = 0.0
    batch = Batch(LABEL, LABEL, LABEL, labelled=torch.tensor([True, False]))
    loss.fill(Outputs(logits, RegionsHead()), Outputs(LOGITS, RegionsHead()), batch)
    (of_segmentation,) = torch.autograd.grad(loss(logits, LABEL), logits)
    assert not of_segmentation[1].any()
    assert of_segmentation[0].any()
    assert gradient[1].any()


def test_masked_samples_count_in_the_mean_so_that_splitting_the_batch_changes_nothing() -> None:
    _, whole = masked([True, False], LOGITS)
    alone = []
    for i, labelled in enumerate([True, False]):
        loss = loss_with({"kd": {"weight": 1.0, "term": SoftDiceBCE()}}, 0.5)
        part = slice(i, i + 1)
        student, teacher = Outputs(LOGITS[part], RegionsHead()), Outputs(LOGITS.flip(0)[part], RegionsHead())
        loss.fill(student, teacher, Batch(LABEL[part], LABEL[part], LABEL[part], labelled=torch.tensor([labelled])))
        alone.append(loss(LOGITS[part], LABEL[part]))
        assert ("segmentation" in loss.named) is labelled
    torch.testing.assert_close(whole, torch.stack(alone).mean())


def test_the_named_segmentation_is_the_mean_over_references() -> None:
    loss, _ = masked([False, True], LOGITS)
    torch.testing.assert_close(loss.named["segmentation"], SegmentationLoss(RegionsHead())(LOGITS[1:], LABEL[1:]))


def test_a_batch_of_references_alone_is_what_it_was_bit_for_bit() -> None:
    loss = loss_with({"kd": {"weight": 1.0, "term": SoftDiceBCE()}}, 0.5)
    loss.fill(Outputs(LOGITS, RegionsHead()), Outputs(LOGITS.flip(0), RegionsHead()), Batch(LABEL, LABEL, LABEL))
    assert torch.equal(masked([True, True], LOGITS)[1], loss(LOGITS, LABEL))
