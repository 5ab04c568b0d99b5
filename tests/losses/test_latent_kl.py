"""latent_kl against scipy and ignite, and the mistakes that published code makes with it."""

from __future__ import annotations

import pytest
import torch
from ignite.metrics import KLDivergence
from scipy.special import rel_entr, softmax

from kd_monai.losses import LatentKL, latent_kl

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
