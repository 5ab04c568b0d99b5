"""A critic learns by itself: from what has no graph, with its own optimiser, outside the loss."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from kd_monai.losses import DistillationLoss, SegmentationLoss
from kd_monai.losses.terms.base import Critic
from kd_monai.networks import RegionsHead
from kd_monai.outputs import Batch, Outputs

LABEL = torch.zeros(2, 3, 4, 4, 4)
BATCH = Batch(LABEL, LABEL, LABEL)


def tells_apart(network: nn.Module, student: Outputs, teacher: Outputs, batch: Batch) -> torch.Tensor:
    assert not student.logits.requires_grad
    assert not student.features["layer"].requires_grad
    return network(student.logits).mean() - network(teacher.logits).mean()


class Toy(nn.Module):
    """The student wants what the critic takes for the teacher."""

    def __init__(self) -> None:
        super().__init__()
        self.critic = Critic(nn.Conv3d(3, 1, 1), tells_apart, lambda parameters: torch.optim.SGD(parameters, 0.1))

    def forward(self, student: Outputs, teacher: Outputs, batch: Batch) -> torch.Tensor:
        return -self.critic.network(student.logits).flatten(1).mean(1)


@pytest.fixture
def loss() -> DistillationLoss:
    return DistillationLoss(SegmentationLoss(RegionsHead()), 1.0, {"toy": {"weight": 1.0, "term": Toy()}})


def both() -> tuple[Outputs, Outputs]:
    student = torch.randn(2, 3, 4, 4, 4, requires_grad=True)
    layer = torch.randn(2, 1, requires_grad=True)
    return Outputs(student, RegionsHead(), {"layer": layer}), Outputs(torch.randn(2, 3, 4, 4, 4), RegionsHead())


def test_a_critic_is_outside_parameters_and_state_of_the_loss(loss: DistillationLoss) -> None:
    assert not list(loss.parameters())
    assert not loss.state_dict()
    assert set(loss.critics.state_dict()) == {"toy"}


def test_a_step_teaches_the_critic_and_leaves_the_student_alone(loss: DistillationLoss) -> None:
    student, teacher = both()
    critic = loss.terms["toy"].critic
    weight = critic.network.weight.detach().clone()
    loss.critics.step(student, teacher, BATCH)
    difference = (student.logits - teacher.logits).detach().mean((0, 2, 3, 4)).reshape(1, 3, 1, 1, 1)
    torch.testing.assert_close(critic.network.weight.detach(), weight - 0.1 * difference)
    assert student.logits.grad is None


def test_the_students_loss_goes_through_the_critic_and_leaves_it_alone(loss: DistillationLoss) -> None:
    student, teacher = both()
    critic = loss.terms["toy"].critic
    before = copy.deepcopy(critic.state_dict())
    loss.fill(student, teacher, BATCH)
    loss(student.logits, LABEL).backward()
    assert student.logits.grad is not None
    assert critic.network.weight.grad is None
    assert torch.equal(critic.state_dict()["network"]["weight"], before["network"]["weight"])


def test_critics_continue_from_their_state(loss: DistillationLoss) -> None:
    loss.critics.step(*both(), BATCH)
    other = DistillationLoss(SegmentationLoss(RegionsHead()), 1.0, {"toy": {"weight": 1.0, "term": Toy()}})
    other.critics.load_state_dict(copy.deepcopy(loss.critics.state_dict()))
    student, teacher = both()
    for one in (loss, other):
        one.critics.step(student, teacher, BATCH)
    assert torch.equal(loss.terms["toy"].critic.network.weight, other.terms["toy"].critic.network.weight)


def test_a_plain_module_as_critic_is_refused(loss: DistillationLoss) -> None:
    term = nn.Module()
    term.critic = nn.Conv3d(3, 1, 1)
    plain = DistillationLoss(SegmentationLoss(RegionsHead()), 1.0, {"toy": {"weight": 1.0, "term": term}})
    with pytest.raises(TypeError, match=r"Critic; got Conv3d in 'toy'"):
        plain.critics.step(*both(), BATCH)
