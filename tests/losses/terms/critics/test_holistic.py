"""The holistic term: a Wasserstein critic that draws no random numbers, and a student that follows its gradient."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from scipy.optimize import approx_fprime
from torch import nn

from kd_monai.losses import DistillationLoss, SegmentationLoss
from kd_monai.losses.terms.critics.holistic import Holistic, HolisticCritic, gradient_penalty
from kd_monai.networks import LabelsHead, RegionsHead
from kd_monai.outputs import Batch, Outputs

SIDES = (16, 18, 20)


def rand(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def batch(count: int = 2, channels: int = 1) -> Batch:
    image = rand(count, channels, *SIDES, seed=9)
    return Batch(torch.zeros(count, 3, *SIDES), image, image)


def outputs(seed: int, count: int = 2) -> Outputs:
    return Outputs(rand(count, 3, *SIDES, seed=seed), RegionsHead())


def built(**given: float) -> Holistic:
    torch.manual_seed(0)
    term = Holistic(1, **given)
    term.build(outputs(0), outputs(1))
    return term


def test_zero_where_student_and_teacher_agree() -> None:
    assert built()(outputs(1), outputs(1), batch()).tolist() == [0.0, 0.0]


def test_it_is_the_critics_score_of_the_teacher_less_that_of_the_student() -> None:
    term, given = built(), batch()
    scores = [term.critic.network(given.student_image, outputs(seed).logits.sigmoid()) for seed in (0, 1)]
    torch.testing.assert_close(term(outputs(0), outputs(1), given), scores[1] - scores[0])


def test_splitting_the_batch_changes_nothing() -> None:
    term, given = built(), batch()
    student, teacher = outputs(0), outputs(1)
    alone = [
        term(
            Outputs(student.logits[i : i + 1], student.head),
            Outputs(teacher.logits[i : i + 1], teacher.head),
            Batch(given.label[i : i + 1], given.student_image[i : i + 1], given.teacher_image[i : i + 1]),
        )
        for i in range(2)
    ]
    torch.testing.assert_close(term(student, teacher, given), torch.cat(alone))


def test_the_penalty_agrees_with_scipys_finite_differences() -> None:
    torch.manual_seed(0)
    network, image = HolisticCritic(1).double(), rand(1, 1, 4, 4, 4).double()
    regions = rand(1, 3, 4, 4, 4, seed=1).sigmoid().double()

    def score(flat: np.ndarray) -> float:
        with torch.no_grad():
            return network(image, torch.from_numpy(flat).reshape(regions.shape)).item()

    norm = np.linalg.norm(approx_fprime(regions.numpy().ravel(), score, 1e-6))
    assert gradient_penalty(network, image, regions).item() == pytest.approx((norm - 1) ** 2, rel=1e-5)


def test_a_critic_without_slope_has_penalty_one_and_finite_gradients() -> None:
    network = HolisticCritic(1)
    for parameter in network.parameters():
        nn.init.zeros_(parameter)
    penalty = gradient_penalty(network, rand(1, 1, 8, 8, 8), torch.zeros(1, 3, 8, 8, 8))
    penalty.sum().backward()
    assert penalty.item() == pytest.approx(1, abs=1e-5)
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


def test_the_critic_learns_to_tell_the_two_apart() -> None:
    term, given = built(learning_rate=1e-2), batch()
    student, teacher = outputs(0), Outputs(outputs(1).logits - 4, RegionsHead())
    before = term(student, teacher, given).mean().item()
    for _ in range(20):
        term.critic.step(student, teacher, given)
    after = term(student, teacher, given).mean().item()
    assert after > before + 0.1


def test_the_students_gradient_leads_to_what_the_critic_takes_for_the_teacher() -> None:
    term, given = built(learning_rate=1e-2), batch()
    teacher = Outputs(outputs(1).logits - 4, RegionsHead())
    for _ in range(20):
        term.critic.step(outputs(0), teacher, given)
    logits = outputs(0).logits.requires_grad_()
    (gradient,) = torch.autograd.grad(term(Outputs(logits, RegionsHead()), teacher, given).sum(), logits)
    assert (gradient > 0).float().mean() > 0.9  # the teacher's logits are lower


@pytest.mark.parametrize("precision", [torch.bfloat16, None])
def test_gradient_reaches_the_student_and_not_the_teacher_and_stays_fp32_inside_autocast(precision) -> None:
    term, student, teacher = built(), outputs(0), outputs(1)
    student.logits.requires_grad_()
    teacher.logits.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=precision is not None):
        term.critic.step(student, teacher, batch())
        value = term(student, teacher, batch())
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, term(student, teacher, batch()), rtol=0, atol=0)
    before = [parameter.grad.clone() for parameter in term.critic.network.parameters()]
    value.sum().backward()
    assert student.logits.grad.abs().sum() > 0
    assert teacher.logits.grad is None
    assert all(map(torch.equal, before, (parameter.grad for parameter in term.critic.network.parameters())))


def test_empty_regions_give_finite_values_and_gradients() -> None:
    term = built()
    logits = torch.full((1, 3, *SIDES), -200.0, requires_grad=True)
    student, teacher = Outputs(logits, RegionsHead()), Outputs(torch.full((1, 3, *SIDES), -200.0), RegionsHead())
    term.critic.step(student, teacher, batch(1))
    value = term(student, teacher, batch(1))
    value.sum().backward()
    assert value.isfinite().all()
    assert logits.grad.isfinite().all()


def test_heads_may_differ() -> None:
    student = Outputs(rand(2, 4, *SIDES).requires_grad_(), LabelsHead())
    assert built()(student, outputs(1), batch()).requires_grad


def test_no_random_number_is_drawn() -> None:
    term = built()
    before = torch.random.get_rng_state()
    for _ in range(2):
        term.critic.step(outputs(0), outputs(1), batch())
        term(outputs(0), outputs(1), batch())
    assert torch.equal(torch.random.get_rng_state(), before)


def test_interpolations_fill_the_interval_evenly() -> None:
    """Better than random ones: no gap of 100 of them is twice the mean one."""
    shares = HolisticCritic(1).next_shares(100).sort().values
    assert shares[0] > 0
    assert shares[-1] < 1
    assert shares.diff().max() < 2 / 100
    assert shares.mean().item() == pytest.approx(0.5, abs=0.01)


def test_a_resumed_critic_goes_on_as_if_nothing_had_happened() -> None:
    """Weights, Adam, and the place in the sequence of interpolations."""
    term = built()
    loss = DistillationLoss(SegmentationLoss(RegionsHead()), 1.0, {"holistic": {"weight": 0.1, "term": term}})
    loss.critics.step(outputs(0), outputs(1), batch())
    saved = copy.deepcopy(loss.critics.state_dict())
    assert saved["holistic"]["network"]["drawn"] == 2
    other = DistillationLoss(SegmentationLoss(RegionsHead()), 1.0, {"holistic": {"weight": 0.1, "term": built()}})
    other.critics.load_state_dict(saved)
    for critics in (loss.critics, other.critics):
        critics.step(outputs(2), outputs(3), batch())
    theirs = other.critics.state_dict()["holistic"]["network"]
    for name, value in loss.critics.state_dict()["holistic"]["network"].items():
        assert torch.equal(value, theirs[name]), name


def test_the_critic_is_no_part_of_the_loss() -> None:
    term = built()
    assert not list(term.parameters())
    assert not term.state_dict()
    assert sum(p.numel() for p in term.critic.network.parameters()) < 20_000
    assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in term.critic.network.modules())


def test_a_term_that_was_never_built_says_so() -> None:
    with pytest.raises(RuntimeError, match="build_terms"):
        Holistic(1)(outputs(0), outputs(1), batch())
