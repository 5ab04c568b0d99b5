"""latent_kl against scipy and ignite, and the mistakes that published code makes with it."""

from __future__ import annotations

import pytest
import torch
from ignite.metrics import KLDivergence
from scipy.special import rel_entr, softmax

from kd_monai.losses.terms.features.latent_kl import LatentKL, latent_kl
from kd_monai.networks import RegionsHead
from kd_monai.outputs import Batch, Outputs

SHAPE = (2, 5, 3, 4, 2)
AXES = ("whole", "channel", "space")
SUMMED = {"whole": (0, 1, 2, 3), "channel": (0,), "space": (1, 2, 3)}


def features(seed: int) -> torch.Tensor:
    return 3 * torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("axis", AXES)
def test_agrees_with_scipy(axis) -> None:
    teacher, student = features(0), features(1)
    for sample in range(SHAPE[0]):
        q = softmax(teacher[sample].double().numpy(), axis=SUMMED[axis])
        p = softmax(student[sample].double().numpy(), axis=SUMMED[axis])
        expected = rel_entr(q, p).sum(axis=SUMMED[axis]).mean()
        assert latent_kl(teacher, student, axis)[sample].item() == pytest.approx(expected, rel=1e-4)


def test_channel_axis_agrees_with_ignite() -> None:
    teacher, student = features(0), features(1)
    metric = KLDivergence()  # of (predicted, true) logits, classes in dimension 1, averaged over the rest
    metric.update((student, teacher))
    assert latent_kl(teacher, student, "channel").mean().item() == pytest.approx(metric.compute(), rel=1e-4)


@pytest.mark.parametrize("axis", AXES)
def test_zero_at_equality_and_never_negative(axis) -> None:
    """A softmax forgotten or applied twice shows as a negative or a vanishing divergence."""
    teacher = features(0)
    torch.testing.assert_close(latent_kl(teacher, teacher, axis), torch.zeros(2), atol=1e-6, rtol=0)
    for seed in range(1, 6):
        assert (latent_kl(teacher, features(seed), axis) > 0).all()


@pytest.mark.parametrize("axis", AXES)
def test_is_a_mean_and_not_a_batchmean_times_voxels(axis) -> None:
    """Twice the volume with the same content keeps the value where the rest is averaged."""
    teacher, student = features(0), features(1)
    doubled = latent_kl(torch.cat([teacher] * 2, 2), torch.cat([student] * 2, 2), axis)
    torch.testing.assert_close(doubled, latent_kl(teacher, student, axis), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("axis", AXES)
def test_splitting_the_batch_changes_nothing(axis) -> None:
    teacher, student = features(0), features(1)
    alone = torch.cat([latent_kl(teacher[i : i + 1], student[i : i + 1], axis) for i in range(2)])
    torch.testing.assert_close(latent_kl(teacher, student, axis), alone)


def test_unknown_axis_is_refused() -> None:
    with pytest.raises(ValueError, match="whole"):
        LatentKL(axis="depth")  # type: ignore[arg-type]


def outputs(layer: torch.Tensor) -> Outputs:
    return Outputs(torch.zeros(2, 3, 4, 4, 4), RegionsHead(), {"down_4": layer})


BATCH = Batch(torch.zeros(2, 3, 4, 4, 4), torch.zeros(2, 1, 4, 4, 4), torch.zeros(2, 4, 4, 4, 4))


@pytest.mark.parametrize("adapter", [False, True])
def test_stays_fp32_inside_autocast(adapter: bool) -> None:
    """Features arrive in bfloat16; a convolution in it would round what is compared."""
    teacher, student = features(0).bfloat16(), features(1).bfloat16().requires_grad_()
    term = LatentKL(adapter=adapter)
    if adapter:
        term.build(outputs(student), outputs(teacher))
    with torch.autocast("cpu", torch.bfloat16):
        value = term(outputs(student), outputs(teacher), BATCH)
    assert value.dtype == torch.float32
    assert torch.equal(value, term(outputs(student.float()), outputs(teacher.float()), BATCH))
    value.sum().backward()
    assert student.grad is not None
    assert teacher.grad is None


def test_the_adapter_brings_the_students_channels_to_the_teachers_and_learns() -> None:
    teacher, student = outputs(features(0)), outputs(features(1)[:, :3])
    term = LatentKL(adapter=True)
    term.build(student, teacher)
    assert {name: tuple(value.shape) for name, value in term.state_dict().items()} == {
        "adapter.weight": (5, 3, 1, 1, 1),
        "adapter.bias": (5,),
    }
    term.check(student, teacher)
    optimizer = torch.optim.Adam(term.parameters(), 0.1)
    values = []
    for _ in range(20):
        optimizer.zero_grad()
        value = term(student, teacher, BATCH).sum()
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < 0.8 * values[0]


@pytest.mark.parametrize("shape", [(2, 3, 3, 4, 2), (2, 5, 3, 4, 4)])
def test_other_channels_or_another_size_need_the_adapter(shape) -> None:
    teacher, student = outputs(features(0)), outputs(torch.zeros(shape))
    with pytest.raises(ValueError, match=r"teacher 'down_4' \(2, 5, 3, 4, 2\) and student.*`adapter: true`"):
        LatentKL().check(student, teacher)
    term = LatentKL(adapter=True)
    term.build(student, teacher)
    term.check(student, teacher)
    assert term(student, teacher, BATCH).shape == (2,)


def test_without_adapter_nothing_is_learned() -> None:
    assert not LatentKL().state_dict()
    assert not LatentKL().learned


def test_a_layer_that_was_not_tapped_is_refused_by_what_the_term_says() -> None:
    with pytest.raises(KeyError, match=r"down_4.*`pairs`"):
        LatentKL()(Outputs(BATCH.label, RegionsHead()), outputs(features(0)), BATCH)
