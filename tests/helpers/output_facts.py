"""What every term on outputs must satisfy, whatever its formula: each is a function that a term's test calls."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kd_monai.networks import LabelsHead, RegionsHead
from kd_monai.outputs import Batch, Head, Outputs

HEADS: list[Head] = [RegionsHead(), LabelsHead()]
SIDES = (3, 4, 5)


def logits(head: Head, seed: int, size: float = 3.0) -> torch.Tensor:
    """Two samples of random logits."""
    return size * torch.randn(2, head.out_channels, *SIDES, generator=torch.Generator().manual_seed(seed))


def regions(seed: int = 0) -> torch.Tensor:
    """Nested random regions, each of them in some voxels of each sample."""
    depth = torch.randint(0, 4, (2, *SIDES), generator=torch.Generator().manual_seed(seed))
    return torch.stack([depth >= 2, depth >= 1, depth >= 3], 1).float()


def batch(progress: float = 1.0, label: torch.Tensor | None = None) -> Batch:
    """With a reference; the images are read by no term on outputs."""
    label = regions() if label is None else label
    return Batch(label, label[:, :1], label, progress)


def value(
    term: nn.Module, head: Head, teacher: torch.Tensor, student: torch.Tensor, of: Batch | None = None
) -> torch.Tensor:
    """What the term gives for these logits."""
    return term(Outputs(student, head), Outputs(teacher, head), of or batch())


def is_invariant_to_splitting(term: nn.Module, head: Head) -> None:
    """A sample counts the same alone and beside another one."""
    teacher, student, label = logits(head, 0), logits(head, 1), regions()
    parts = [slice(0, 1), slice(1, 2)]
    alone = [value(term, head, teacher[i], student[i], batch(label=label[i])) for i in parts]
    torch.testing.assert_close(value(term, head, teacher, student), torch.cat(alone))


def gradient_reaches_the_student_alone(term: nn.Module, head: Head) -> None:
    """Even where the teacher's logits would take one."""
    teacher, student = logits(head, 0).requires_grad_(), logits(head, 1).requires_grad_()
    value(term, head, teacher, student).sum().backward()
    assert student.grad is not None
    assert (student.grad.flatten(1).abs().sum(1) > 0).all()
    assert teacher.grad is None


def is_fp32_inside_autocast(term: nn.Module, head: Head) -> None:
    """Outputs arrive in bfloat16; what is compared is not rounded again."""
    teacher, student = logits(head, 0).bfloat16(), logits(head, 1).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        inside = value(term, head, teacher, student)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, value(term, head, teacher.float(), student.float()))


def is_finite_where_outputs_saturate_and_regions_are_empty(term: nn.Module, head: Head) -> None:
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


def keeps_its_value_on_twice_the_volume(term: nn.Module, head: Head) -> None:
    """It averages over voxels: the same content twice, one behind the other, counts as once."""
    teacher, student, label = logits(head, 0), logits(head, 1), regions()
    twice = [torch.cat([x] * 2, 2) for x in (teacher, student)]
    doubled = value(term, head, *twice, batch(label=torch.cat([label] * 2, 2)))
    torch.testing.assert_close(doubled, value(term, head, teacher, student), rtol=1e-4, atol=1e-6)


def refuses_different_heads(term: nn.Module) -> None:
    """By its check, and in a step."""
    student, teacher = (Outputs(logits(head, 0), head) for head in HEADS)
    for ask in (lambda: term.check(student, teacher), lambda: term(student, teacher, batch())):
        with pytest.raises(ValueError, match=r"same head; got a 'labels' teacher and a 'regions' student\. Train"):
            ask()


def kept_for_the_backward_pass(term: nn.Module, head: Head) -> list[tuple[int, ...]]:
    """Shapes of the tensors that it keeps until the student's gradient is asked for."""
    kept: list[torch.Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        value(term, head, logits(head, 0), logits(head, 1).requires_grad_())
    return [tuple(tensor.shape) for tensor in kept]
