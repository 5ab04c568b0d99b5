"""What holds of every term on outputs, whatever its formula."""

from __future__ import annotations

import pytest
import torch
from output_samples import HEADS, batch, logits, regions, value
from terms import terms_in
from torch import nn

from kd_monai.losses.terms.outputs.boundary_first_order import BoundaryFirstOrder
from kd_monai.outputs import Head, Outputs

TERMS = terms_in("outputs")
READS = [(kind, head) for kind in TERMS for head in HEADS if getattr(kind, "needs_head", head.name) == head.name]
every = pytest.mark.parametrize(
    ("term", "head"),
    [pytest.param(kind(), head, id=f"{kind.__name__}-{head.name}") for kind, head in READS],
)


@every
def test_splitting_the_batch_changes_nothing(term: nn.Module, head: Head) -> None:
    """A sample counts the same alone and beside another one."""
    teacher, student, label = logits(head, 0), logits(head, 1), regions()
    parts = [slice(0, 1), slice(1, 2)]
    alone = [value(term, head, teacher[i], student[i], batch(label=label[i])) for i in parts]
    torch.testing.assert_close(value(term, head, teacher, student), torch.cat(alone))


@every
def test_gradient_reaches_the_student_and_not_the_teacher(term: nn.Module, head: Head) -> None:
    """Even where the teacher's logits would take one."""
    teacher, student = logits(head, 0).requires_grad_(), logits(head, 1).requires_grad_()
    value(term, head, teacher, student).sum().backward()
    assert student.grad is not None
    assert (student.grad.flatten(1).abs().sum(1) > 0).all()
    assert teacher.grad is None


@every
def test_stays_fp32_inside_autocast(term: nn.Module, head: Head) -> None:
    """Outputs arrive in bfloat16; what is compared is not rounded again."""
    teacher, student = logits(head, 0).bfloat16(), logits(head, 1).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        inside = value(term, head, teacher, student)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, value(term, head, teacher.float(), student.float()))


@every
def test_empty_regions_and_saturated_logits_give_finite_values_and_gradients(term: nn.Module, head: Head) -> None:
    """Logits of 200 and -200, agreeing and opposed; equal ones; references without any region and full of them."""
    sure = 200 * torch.sign(logits(head, 0))
    none, everything = torch.zeros_like(regions()), torch.ones_like(regions())
    for label in (none, everything):
        for teacher in (sure, torch.full_like(sure, -200), torch.zeros_like(sure)):
            for other in (sure, -sure, torch.full_like(sure, -200), torch.zeros_like(sure)):
                student = other.clone().requires_grad_()
                got = value(term, head, teacher, student, batch(label=label))
                got.sum().backward()
                assert got.isfinite().all()
                assert student.grad is not None
                assert student.grad.isfinite().all()


@every
def test_twice_the_volume_with_the_same_content_keeps_the_value(term: nn.Module, head: Head) -> None:
    """It averages over voxels: the same content twice, one behind the other, counts as once."""
    if isinstance(term, BoundaryFirstOrder):
        pytest.skip("it averages over pairs of neighbours, of which two volumes side by side have more than twice")
    teacher, student, label = logits(head, 0), logits(head, 1), regions()
    twice = [torch.cat([x] * 2, 2) for x in (teacher, student)]
    doubled = value(term, head, *twice, batch(label=torch.cat([label] * 2, 2)))
    assert (doubled > 0).all()
    torch.testing.assert_close(doubled, value(term, head, teacher, student), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", TERMS)
@pytest.mark.parametrize(("of_teacher", "of_student"), [(HEADS[0], HEADS[1]), (HEADS[1], HEADS[0])])
def test_different_heads_are_refused_by_check_and_in_a_step(kind: type, of_teacher: Head, of_student: Head) -> None:
    term = kind()
    student, teacher = Outputs(logits(of_student, 0), of_student), Outputs(logits(of_teacher, 0), of_teacher)
    heads = f"'{of_teacher.name}' teacher and a '{of_student.name}' student"
    for ask in (lambda: term.check(student, teacher), lambda: term(student, teacher, batch())):
        with pytest.raises(ValueError, match=rf"Term {kind.__name__} .* head.*; got a {heads}\. Train"):
            ask()
