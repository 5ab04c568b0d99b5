"""What holds of every term that reads layers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from feature_samples import SHAPE, batch, features, outputs, regions

from kd_monai import losses
from kd_monai.losses import (
    VID,
    Attention,
    ChannelWise,
    Content,
    Contrastive,
    FeatureRegression,
    FeatureTerm,
    Gram,
    LatentKL,
    Pairwise,
    Prototype,
)

LAYERS = ("layer", "layer")
ADAPTED = (ChannelWise, Content, Contrastive, Gram, LatentKL)
"""Those that learn an adapter if they are told to."""
ALWAYS = (FeatureRegression, VID)
ANY_WIDTH = (Attention, Pairwise, Prototype)
"""Those that compare maps of any width and size."""

every = pytest.mark.parametrize("kind", [*ADAPTED, *ALWAYS, *ANY_WIDTH])


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


def test_every_feature_term_is_tested_here() -> None:
    exported = [getattr(losses, name) for name in losses.__all__]
    kinds = {kind for kind in exported if isinstance(kind, type) and issubclass(kind, FeatureTerm)}
    assert kinds - {FeatureTerm} == {*ADAPTED, *ALWAYS, *ANY_WIDTH}


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


@pytest.mark.parametrize("kind", [*ADAPTED, *ALWAYS, *ANY_WIDTH])
@pytest.mark.parametrize("size", [(6, 4, 8), (3, 2, 4), (12, 8, 16)])
def test_a_student_of_another_width_and_depth_is_taught(kind, size: tuple[int, ...]) -> None:
    """By the adapter, or because the formula compares no channels."""
    teacher, student = features(0), features(1, (2, 3, *size)).requires_grad_()
    term = built(kind, student, teacher, **({"adapter": True} if kind in ADAPTED else {}))
    term.check(outputs(student), outputs(teacher))
    got = value(term, teacher, student, regions())
    assert got.shape == (2,)
    got.sum().backward()
    assert student.grad is not None
    assert student.grad.abs().sum() > 0


@pytest.mark.parametrize("kind", ADAPTED)
def test_other_channels_without_an_adapter_are_refused_with_both_shapes(kind) -> None:
    term = kind(*LAYERS)
    message = r"teacher 'layer' \(2, 5, 6, 4, 8\) and student 'layer' \(2, 3, 6, 4, 8\).*`adapter: true`"
    with pytest.raises(ValueError, match=message):
        term.check(outputs(features(1, (2, 3, 6, 4, 8))), outputs(features(0)))
    assert not term.learned
    assert not term.state_dict()


@pytest.mark.parametrize("kind", [ChannelWise, Content, LatentKL])
def test_another_size_without_an_adapter_is_refused_where_voxels_are_compared(kind) -> None:
    with pytest.raises(ValueError, match=r"of one shape.*\(2, 5, 6, 4, 8\).*\(2, 5, 3, 2, 4\)"):
        kind(*LAYERS).check(outputs(features(1, (2, 5, 3, 2, 4))), outputs(features(0)))


@pytest.mark.parametrize("kind", [Gram, Contrastive])
def test_another_size_is_taken_where_channels_alone_are_compared(kind) -> None:
    student = outputs(features(1, (2, 5, 3, 2, 4)))
    term = kind(*LAYERS)
    term.check(student, outputs(features(0)))
    assert torch.isfinite(term(student, outputs(features(0)), batch(regions()))).all()


def test_a_term_without_a_formula_says_so() -> None:
    with pytest.raises(NotImplementedError, match="FeatureTerm has none"):
        value(FeatureTerm(*LAYERS), features(0), features(1), regions())
