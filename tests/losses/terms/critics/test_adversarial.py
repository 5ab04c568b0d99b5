"""The adversarial term: a least-squares critic of segmentation and layers, which the student tries to fool."""

from __future__ import annotations

import copy

import pytest
import torch
from sklearn.metrics import mean_squared_error
from torch import nn

from kd_monai.losses.terms.critics.adversarial import Adversarial
from kd_monai.networks import LabelsHead, RegionsHead
from kd_monai.outputs import Batch, Outputs

SIDES = (16, 18, 20)
LAYERS = {"fine": (4, 16, 18, 20), "middle": (5, 8, 9, 10), "deep": (6, 2, 3, 2)}
IMAGE = torch.randn(2, 1, *SIDES, generator=torch.Generator().manual_seed(5))
BATCH = Batch(torch.zeros(2, 3, *SIDES), IMAGE, IMAGE)


def outputs(seed: int, count: int = 2, offset: float = 0.0, wider: int = 0) -> Outputs:
    generator = torch.Generator().manual_seed(seed)

    def rand(*shape: int) -> torch.Tensor:
        return torch.randn(count, *shape, generator=generator) + offset

    features = {name: rand(shape[0] + wider, *shape[1:]) for name, shape in LAYERS.items()}
    return Outputs(rand(3, *SIDES), RegionsHead(), features)


def built(adapter: bool = False, wider: int = 0, learning_rate: float = 2e-4) -> Adversarial:
    torch.manual_seed(0)
    term = Adversarial(1, list(LAYERS), list(LAYERS), adapter, learning_rate)
    term.build(outputs(0), outputs(1, wider=wider))
    return term


def learning(outputs: Outputs) -> Outputs:
    for tensor in (outputs.logits, *outputs.features.values()):
        tensor.requires_grad_()
    return outputs


def scores(term: Adversarial, given: Outputs) -> torch.Tensor:
    return term.critic.network(IMAGE, given.logits.sigmoid(), list(given.features.values())).detach()


def test_it_is_the_squared_error_of_the_scores_against_the_teachers_one() -> None:
    term, student = built(), outputs(0)
    got = term(student, outputs(1), BATCH)
    for sample, value in zip(scores(term, student).flatten(1), got, strict=True):
        assert value.item() == pytest.approx(mean_squared_error(torch.ones_like(sample), sample), rel=1e-5)


def test_the_critics_loss_is_scikit_learns_squared_error_of_its_scores_against_who_it_was() -> None:
    term, student, teacher = built(), outputs(0), outputs(1)
    both = torch.cat([scores(term, one).flatten() for one in (student, teacher)])
    labels = torch.cat([torch.zeros(len(both) // 2), torch.ones(len(both) // 2)])
    got = term.critic_loss(term.critic.network, student, teacher, BATCH).item()
    assert got == pytest.approx(mean_squared_error(labels, both), rel=1e-5)


def test_zero_where_the_critic_takes_the_student_for_the_teacher_and_never_below() -> None:
    term = built()
    nn.init.zeros_(term.critic.network.score.weight)
    nn.init.ones_(term.critic.network.score.bias)
    assert term(outputs(0), outputs(1), BATCH).tolist() == [0.0, 0.0]
    for seed in range(3):
        assert (built()(outputs(seed), outputs(9), BATCH) >= 0).all()


def test_splitting_the_batch_changes_nothing() -> None:
    term, student, teacher = built(), outputs(0), outputs(1)

    def one(given: Outputs, i: int) -> Outputs:
        return Outputs(given.logits[i : i + 1], given.head, {name: f[i : i + 1] for name, f in given.features.items()})

    alone = [
        term(one(student, i), one(teacher, i), Batch(BATCH.label[i : i + 1], *[IMAGE[i : i + 1]] * 2)) for i in range(2)
    ]
    torch.testing.assert_close(term(student, teacher, BATCH), torch.cat(alone))


def test_the_critic_learns_to_tell_the_two_apart_and_the_student_to_fool_it() -> None:
    term = built(learning_rate=1e-2)
    student, teacher = outputs(0), outputs(1, offset=1.0)
    for _ in range(20):
        term.critic.step(student, teacher, BATCH)
    assert scores(term, teacher).mean() > scores(term, student).mean() + 0.3
    assert term(student, teacher, BATCH).mean() > 2 * term(teacher, teacher, BATCH).mean()
    logits = student.logits.clone().requires_grad_()
    fooling = Outputs(logits, student.head, {n: f.clone().requires_grad_() for n, f in student.features.items()})
    optimizer = torch.optim.Adam([logits, *fooling.features.values()], 0.1)
    values = []
    for _ in range(10):
        optimizer.zero_grad()
        value = term(fooling, teacher, BATCH).sum()
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < 0.5 * values[0]


@pytest.mark.parametrize("adapter", [False, True])
def test_gradient_reaches_logits_and_every_layer_of_the_student_alone_in_fp32_inside_autocast(adapter: bool) -> None:
    term, student, teacher = built(adapter), learning(outputs(0)), learning(outputs(1))
    with torch.autocast("cpu", torch.bfloat16):
        term.critic.step(student, teacher, BATCH)
        value = term(student, teacher, BATCH)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, term(student, teacher, BATCH), rtol=0, atol=0)
    value.sum().backward()
    for tensor in (student.logits, *student.features.values()):
        assert tensor.grad.abs().sum() > 0
    for tensor in (teacher.logits, *teacher.features.values()):
        assert tensor.grad is None
    for parameter in term.parameters():
        assert parameter.grad.abs().sum() > 0


def test_empty_regions_give_finite_values_and_gradients() -> None:
    term, student, teacher = built(), outputs(0), outputs(1)
    for given in (student, teacher):
        given.logits = torch.full_like(given.logits, -200.0)
    term.critic.step(learning(student), teacher, BATCH)
    value = term(student, teacher, BATCH)
    value.sum().backward()
    assert value.isfinite().all()
    assert student.logits.grad.isfinite().all()


def test_heads_may_differ() -> None:
    student = outputs(0)
    student = Outputs(torch.randn(2, 4, *SIDES), LabelsHead(), student.features)
    assert built()(student, outputs(1), BATCH).shape == (2,)


def test_other_channels_need_the_adapter_which_the_student_trains() -> None:
    student, teacher = outputs(0), outputs(1, wider=2)
    term = built(wider=2)
    with pytest.raises(ValueError, match=r"teacher 'fine' with 6 and student 'fine' with 4.*`adapter: true`"):
        term.check(student, teacher)
    term = built(adapter=True, wider=2)
    term.check(student, teacher)
    assert [tuple(p.shape) for p in term.parameters() if p.ndim > 1] == [
        (6, 4, 1, 1, 1), (7, 5, 1, 1, 1), (8, 6, 1, 1, 1),
    ]  # fmt: skip
    assert term(student, teacher, BATCH).shape == (2,)


def test_sizes_in_space_may_differ() -> None:
    teacher = outputs(1)
    teacher.features["deep"] = torch.randn(2, 6, 1, 1, 2)
    term = built()
    term.check(outputs(0), teacher)
    term.critic.step(outputs(0), teacher, BATCH)


def test_without_adapter_nothing_but_the_critic_is_learned() -> None:
    term = built()
    assert not list(term.parameters())
    assert sum(p.numel() for p in term.critic.network.parameters()) < 40_000
    assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in term.critic.network.modules())


def test_outputs_alone_can_be_judged() -> None:
    """As several teachers share no layers."""
    term = Adversarial(1, [], [])
    term.build(outputs(0), outputs(1))
    assert term.pairs == []
    assert term(outputs(0), outputs(1), BATCH).shape == (2,)


def test_a_resumed_critic_goes_on_as_if_nothing_had_happened() -> None:
    term, other = built(), built()
    term.critic.step(outputs(0), outputs(1), BATCH)
    other.critic.load_state_dict(copy.deepcopy(term.critic.state_dict()))
    for one in (term, other):
        one.critic.step(outputs(2), outputs(3), BATCH)
    for name, value in term.critic.network.state_dict().items():
        assert torch.equal(value, other.critic.network.state_dict()[name]), name


def test_no_random_number_is_drawn() -> None:
    term = built()
    before = torch.random.get_rng_state()
    term.critic.step(outputs(0), outputs(1), BATCH)
    term(outputs(0), outputs(1), BATCH)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_layers_are_named_one_for_one() -> None:
    with pytest.raises(ValueError, match=r"one for one; got teacher \['a', 'b'\] and student \['a'\]"):
        Adversarial(1, ["a", "b"], ["a"])


def test_a_term_that_was_never_built_says_so() -> None:
    with pytest.raises(RuntimeError, match="build_terms"):
        Adversarial(1, [], [])(outputs(0), outputs(1), BATCH)
