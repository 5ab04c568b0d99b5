"""contrastive against loops over classes; its positives and negatives are of one sample."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from feature_samples import SHAPE, features, part_masks, regions

from kd_monai.losses.terms.features.contrastive import contrastive


def class_means(layer: torch.Tensor, masks: list[torch.Tensor]) -> list[np.ndarray]:
    """Mean feature of each class there is, of length 1, of one sample ``K h w d``."""
    means = [layer[:, mask].double().numpy().mean(1) for mask in masks if mask.any()]
    return [mean / np.linalg.norm(mean) for mean in means]


def by_hand(teacher: torch.Tensor, student: torch.Tensor, label: torch.Tensor, margin: float) -> float:
    v, u = (class_means(layer, part_masks(label)) for layer in (teacher, student))
    own = [np.linalg.norm(u[c] - v[c]) ** 2 for c in range(len(u))]
    other = [
        max(0.0, margin - np.linalg.norm(u[c] - v[k])) ** 2 for c in range(len(u)) for k in range(len(v)) if c != k
    ]
    return float(np.mean(own) + (np.mean(other) if other else 0))


@pytest.mark.parametrize("margin", [0.5, 1.0, 2.0])
def test_agrees_with_loops_over_the_classes_of_each_sample(margin: float) -> None:
    teacher, student = features(0), features(1)
    for sample in range(2):
        expected = by_hand(teacher[sample], student[sample], regions()[sample], margin)
        got = contrastive(teacher, student, regions(), margin)[sample].item()
        assert got == pytest.approx(expected, rel=1e-4)


def apart() -> torch.Tensor:
    """Features whose classes point along different axes, sqrt(2) apart."""
    layer = torch.zeros(SHAPE)
    for sample in range(2):
        for axis, mask in enumerate(part_masks(regions()[sample])):
            layer[sample, axis, mask] = 3
    return layer


def test_zero_at_equality_where_the_teachers_classes_are_a_margin_apart() -> None:
    teacher = apart()
    torch.testing.assert_close(contrastive(teacher, teacher, regions()), torch.zeros(2), atol=1e-6, rtol=0)
    for seed in range(1, 6):
        assert (contrastive(teacher, features(seed), regions()) > 0).all()


def test_at_equality_it_is_how_close_the_teachers_own_classes_are() -> None:
    teacher = torch.ones(SHAPE)  # one direction everywhere: every distance is 0, every negative costs margin^2
    torch.testing.assert_close(contrastive(teacher, teacher, regions(), 0.7), torch.full((2,), 0.49))


def test_never_below_zero() -> None:
    for seed in range(1, 6):
        assert (contrastive(features(0), features(seed), regions()) >= 0).all()


def test_one_class_has_no_negatives() -> None:
    teacher = features(0)
    nothing = torch.zeros(2, 3, *SHAPE[2:])
    torch.testing.assert_close(contrastive(teacher, teacher, nothing), torch.zeros(2), atol=1e-6, rtol=0)
    assert (contrastive(teacher, -teacher, nothing) > 3.99).all()  # opposite vectors are 2 apart


def test_a_sample_does_not_depend_on_its_neighbours() -> None:
    """PMKL's negatives are the batch's other samples; here another neighbour changes nothing."""
    teacher, student = features(0), features(1)
    changed = torch.cat([student[:1], features(9)[1:]])
    assert contrastive(teacher, student, regions())[0] == contrastive(teacher, changed, regions())[0]


def test_negatives_push_a_class_from_the_teachers_others() -> None:
    """A student whose oedema looks like the teacher's core moves away from it along its gradient."""
    teacher = apart()
    student = apart()
    oedema = regions()[0, 1].bool() & ~regions()[0, 0].bool()
    student[0, :, oedema] = teacher[0, :, regions()[0, 0].bool() & ~regions()[0, 2].bool()][:, :1] + 0.5
    student.requires_grad_()
    contrastive(teacher, student, regions())[0].backward()
    assert student.grad is not None
    pull = -student.grad[0][:, oedema].sum(1)
    assert pull[1] > 0  # to the teacher's oedema
    assert pull[2] < 0  # from the teacher's core
