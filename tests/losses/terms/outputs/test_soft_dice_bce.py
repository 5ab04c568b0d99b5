"""soft_dice_bce against entropy, scikit-learn's log loss and finite facts."""

from __future__ import annotations

import pytest
import torch
from output_samples import HEADS, logits, value
from sklearn.metrics import log_loss

from kd_monai.losses.terms.outputs.soft_dice_bce import SoftDiceBCE, soft_dice_bce
from kd_monai.networks import RegionsHead
from kd_monai.outputs import Batch, Outputs

SHAPE = (3, 3, 4, 5, 6)
BATCH = Batch(torch.zeros(SHAPE), torch.zeros(SHAPE), torch.zeros(SHAPE))


def probabilities(seed: int) -> torch.Tensor:
    return torch.rand(SHAPE, generator=torch.Generator().manual_seed(seed))


def test_minimum_at_equality_is_the_entropy_of_the_teacher() -> None:
    teacher = probabilities(0)
    entropy = torch.distributions.Bernoulli(teacher).entropy().flatten(1).mean(1)
    torch.testing.assert_close(soft_dice_bce(teacher, teacher), entropy, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("seed", range(1, 6))
def test_never_below_its_value_at_equality(seed: int) -> None:
    teacher = probabilities(0)
    assert (soft_dice_bce(teacher, probabilities(seed)) > soft_dice_bce(teacher, teacher)).all()


def test_cross_entropy_part_agrees_with_scikit_learn_for_hard_teachers() -> None:
    teacher, student = (probabilities(0) > 0.5).float(), probabilities(1)
    dice = (2 * teacher * student).sum((2, 3, 4)) / (teacher + student**2).sum((2, 3, 4))
    got = soft_dice_bce(teacher, student) - (1 - dice.mean(1))
    for sample in range(SHAPE[0]):
        expected = log_loss(teacher[sample].flatten(), student[sample].flatten())
        assert got[sample].item() == pytest.approx(expected, abs=1e-4)


def test_splitting_the_batch_changes_nothing() -> None:
    teacher, student = probabilities(0), probabilities(1)
    alone = torch.cat([soft_dice_bce(teacher[i : i + 1], student[i : i + 1]) for i in range(SHAPE[0])])
    torch.testing.assert_close(soft_dice_bce(teacher, student), alone)


def test_gradient_is_that_of_finite_differences() -> None:
    shape = (2, 3, 2, 3, 2)
    random = torch.Generator().manual_seed(0)
    teacher = torch.rand(shape, generator=random, dtype=torch.float64)
    student = (0.05 + 0.9 * torch.rand(shape, generator=random, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(lambda p: soft_dice_bce(teacher, p), student, eps=1e-6, atol=1e-7)


def test_a_nan_reaches_the_value_and_raises_nothing_itself() -> None:
    student = probabilities(1)
    student[1, 0, 0, 0, 0] = float("nan")
    assert soft_dice_bce(probabilities(0), student).isnan().tolist() == [False, True, False]


def test_one_tensor_is_kept_for_the_backward_pass() -> None:
    kept: list[torch.Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        soft_dice_bce(probabilities(0), probabilities(1).requires_grad_())
    assert [tuple(tensor.shape) for tensor in kept] == [SHAPE]


def test_empty_region_gives_zero_and_finite_gradients() -> None:
    logits = torch.full(SHAPE, -200.0, requires_grad=True)
    value = SoftDiceBCE(1.0)(Outputs(logits, RegionsHead()), Outputs(torch.full(SHAPE, -200.0), RegionsHead()), BATCH)
    value.sum().backward()
    torch.testing.assert_close(value.detach(), torch.zeros(SHAPE[0]), atol=1e-4, rtol=0)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.name)
def test_of_outputs_too_equality_is_best(head) -> None:
    term, teacher = SoftDiceBCE(), logits(head, 0)
    least = value(term, head, teacher, teacher)
    assert all((value(term, head, teacher, logits(head, seed)) > least).all() for seed in range(1, 6))


def test_a_high_temperature_flattens_both() -> None:
    student, teacher = Outputs(torch.randn(SHAPE), RegionsHead()), Outputs(torch.randn(SHAPE), RegionsHead())
    hot = SoftDiceBCE(1e6)(student, teacher, BATCH)
    torch.testing.assert_close(hot, torch.full((SHAPE[0],), torch.log(torch.tensor(2.0)).item()), atol=1e-4, rtol=0)
