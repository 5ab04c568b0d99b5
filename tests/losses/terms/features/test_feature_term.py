"""What holds of every term that reads layers."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
import torch
from feature_samples import SHAPE, batch, features, outputs, regions
from terms import terms_in
from torch.nn import functional as F

from kd_monai.losses.terms.base import Adapter, FeatureTerm

LAYERS = ("layer", "layer")
KINDS = [kind for kind in terms_in("features") if issubclass(kind, FeatureTerm)]
ALIKE = {kind: "nothing" if kind(*LAYERS).learned else kind.alike for kind in KINDS}
"""What the two layers of a term must have in common that was not told to learn an adapter."""
ADAPTED = [kind for kind in KINDS if "adapter" in inspect.signature(kind).parameters]

every = pytest.mark.parametrize("kind", KINDS)


def built(kind: type[FeatureTerm], student: torch.Tensor, teacher: torch.Tensor, **options: Any) -> FeatureTerm:
    """The term, with what it learns made for these features."""
    term = kind(*LAYERS, **options)
    if term.learned:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            term.build(outputs(student), outputs(teacher))
    return term


def value(term: FeatureTerm, teacher: torch.Tensor, student: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    return term(outputs(student), outputs(teacher), batch(label))


@every
def test_splitting_the_batch_changes_nothing(kind) -> None:
    teacher, student, label = features(0), features(1), regions()
    term = built(kind, student, teacher)
    alone = [value(term, teacher[i : i + 1], student[i : i + 1], label[i : i + 1]) for i in range(2)]
    together = value(term, teacher, student, label)
    assert together.shape == (2,)
    torch.testing.assert_close(together, torch.cat(alone))


@every
def test_gradient_reaches_the_student_and_never_the_teacher(kind) -> None:
    teacher, student = features(0).requires_grad_(), features(1).requires_grad_()
    term = built(kind, student, teacher)
    value(term, teacher, student, regions()).sum().backward()
    assert teacher.grad is None
    assert student.grad is not None
    assert (student.grad.flatten(1).abs().sum(1) > 0).all()
    for name, parameter in term.named_parameters():
        assert parameter.grad is not None, name


@every
def test_stays_fp32_inside_autocast(kind) -> None:
    """Features arrive in bfloat16; a matrix product or convolution in it would round what is compared."""
    teacher, student = features(0).bfloat16(), features(1).bfloat16().requires_grad_()
    term = built(kind, student, teacher)
    with torch.autocast("cpu", torch.bfloat16):
        inside = value(term, teacher, student, regions())
    assert inside.dtype == torch.float32
    assert torch.equal(inside, value(term, teacher.float(), student.float(), regions()))
    inside.sum().backward()
    assert student.grad is not None


@every
@pytest.mark.parametrize("empty", ["student", "teacher", "both"])
@pytest.mark.parametrize("label", [regions(), torch.zeros(2, 3, *SHAPE[2:]), torch.ones(2, 3, *SHAPE[2:])])
def test_zero_features_and_absent_classes_give_finite_values_and_gradients(kind, empty: str, label) -> None:
    teacher, student = features(0), features(1)
    teacher = teacher if empty == "student" else torch.zeros_like(teacher)
    student = (student if empty == "teacher" else torch.zeros_like(student)).requires_grad_()
    term = built(kind, student, teacher)
    got = value(term, teacher, student, label)
    got.sum().backward()
    assert torch.isfinite(got).all()
    for parameter in (student, *term.parameters()):
        assert parameter.grad is not None
        assert parameter.grad.abs().max() < 1e3


@every
def test_does_not_grow_with_the_number_of_voxels(kind) -> None:
    def doubled(x: torch.Tensor) -> torch.Tensor:
        return x.repeat_interleave(2, 2).repeat_interleave(2, 3).repeat_interleave(2, 4)

    teacher, student, label = features(0), features(1), regions()
    term = built(kind, student, teacher)
    once = value(term, teacher, student, label)
    twice = value(term, doubled(teacher), doubled(student), doubled(label))
    torch.testing.assert_close(once, twice, rtol=1e-4, atol=1e-5)


@every
def test_memory_format_changes_nothing_but_rounding(kind) -> None:
    """Students train in channels_last; the teacher's layers may come in either."""
    teacher, student = features(0), features(1)
    term = built(kind, student, teacher)
    last = student.contiguous(memory_format=torch.channels_last_3d)
    torch.testing.assert_close(value(term, teacher, last, regions()), value(term, teacher, student, regions()))


@every
@pytest.mark.parametrize("size", [(6, 4, 8), (3, 2, 4), (12, 8, 16)])
def test_a_student_of_another_width_and_depth_is_taught(kind, size: tuple[int, ...]) -> None:
    """By the adapter, or because the formula compares no channels."""
    teacher, student = features(0), features(1, (2, 3, *size)).requires_grad_()
    term = built(kind, student, teacher, **({} if ALIKE[kind] == "nothing" else {"adapter": True}))
    term.check(outputs(student), outputs(teacher))
    got = value(term, teacher, student, regions())
    assert got.shape == (2,)
    got.sum().backward()
    assert student.grad is not None
    assert student.grad.abs().sum() > 0


@pytest.mark.parametrize("kind", [kind for kind in ADAPTED if ALIKE[kind] != "nothing"])
def test_other_channels_without_an_adapter_are_refused_with_both_shapes(kind) -> None:
    term = kind(*LAYERS)
    message = r"teacher 'layer' \(2, 5, 6, 4, 8\) and student 'layer' \(2, 3, 6, 4, 8\).*`adapter: true`"
    with pytest.raises(ValueError, match=message):
        term.check(outputs(features(1, (2, 3, 6, 4, 8))), outputs(features(0)))
    assert not term.learned
    assert not term.state_dict()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if ALIKE[kind] == "shape"])
def test_another_size_without_an_adapter_is_refused_where_voxels_are_compared(kind) -> None:
    with pytest.raises(ValueError, match=r"of one shape.*\(2, 5, 6, 4, 8\).*\(2, 5, 3, 2, 4\)"):
        kind(*LAYERS).check(outputs(features(1, (2, 5, 3, 2, 4))), outputs(features(0)))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if ALIKE[kind] == "channels"])
def test_another_size_is_taken_where_channels_alone_are_compared(kind) -> None:
    student = outputs(features(1, (2, 5, 3, 2, 4)))
    term = kind(*LAYERS)
    term.check(student, outputs(features(0)))
    assert torch.isfinite(term(student, outputs(features(0)), batch(regions()))).all()


def test_a_term_without_a_formula_is_none() -> None:
    with pytest.raises(TypeError, match="compare"):
        FeatureTerm(*LAYERS)  # type: ignore[abstract]


SMALL = features(1, (2, 3, 4, 2, 6))


def test_at_the_teachers_size_it_is_a_matrix_at_every_voxel() -> None:
    student = features(1, (2, 3, 6, 4, 8))
    adapter = Adapter(student, features(0))
    weight, bias = (parameter.detach().numpy() for parameter in (adapter.weight, adapter.bias))
    expected = np.einsum("ok,bkhwd->bohwd", weight[:, :, 0, 0, 0], student.numpy()) + bias.reshape(1, -1, 1, 1, 1)
    np.testing.assert_allclose(adapter(student, features(0).shape[2:]).detach(), expected, rtol=1e-4, atol=1e-5)


def test_map_of_channels_and_resampling_commute() -> None:
    adapter = Adapter(SMALL, features(0))
    got = adapter(SMALL, features(0).shape[2:])
    assert got.shape == features(0).shape
    resampled = F.interpolate(SMALL, size=(6, 4, 8), mode="trilinear", align_corners=False)
    torch.testing.assert_close(got, adapter(resampled, features(0).shape[2:]), rtol=1e-4, atol=1e-5)


def test_halving_takes_the_mean_of_eight_voxels() -> None:
    large = features(2, (1, 1, 4, 6, 8))
    adapter = Adapter(large, large)
    adapter.weight.data.fill_(1)
    adapter.bias.data.zero_()
    torch.testing.assert_close(adapter(large, (2, 3, 4)), F.avg_pool3d(large, 2))
